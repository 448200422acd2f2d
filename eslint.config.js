import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Type-aware rules over all that is TypeScript; formatting is prettier's alone. */

const NO_INTERVAL = {
  name: 'setInterval',
  message: 'The next tick is scheduled after the last one ends.',
};
const NO_DEFAULT_EXPORT = {
  selector: 'ExportDefaultDeclaration',
  message: 'Everything is exported by its name.',
};

/** What `no-unused-expressions` forbids, but for chai's assertions by property. */
const IDLE =
  'Identifier, Literal, TemplateLiteral, BinaryExpression, LogicalExpression, ConditionalExpression, ' +
  'ArrowFunctionExpression, ObjectExpression, ArrayExpression';
const NO_IDLE_STATEMENTS = [
  {
    selector: `ExpressionStatement > :matches(${IDLE})`,
    message: 'This statement does nothing.',
  },
  {
    selector:
      'ExpressionStatement > MemberExpression:not(:has(CallExpression[callee.name="expect"]))',
    message: 'This statement does nothing.',
  },
  {
    selector: 'ExpressionStatement > CallExpression[callee.name="expect"]',
    message: 'This expects nothing of its value.',
  },
];

export default defineConfig(
  {
    ignores: [
      'dist*/',
      'node_modules/',
      '.cache/',
      '.skein/',
      'node/rpc/generated/',
      'test/full/package/consumer/',
    ],
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: true },
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './node/dashboard/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70 }],
      'no-restricted-globals': ['error', NO_INTERVAL],
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // `while (true)` is a loop whose end is inside it.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // `() => void` callbacks may be written as one short arrow.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A describe block holds its tests: its length says nothing.
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-unused-expressions': 'off',
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT, ...NO_IDLE_STATEMENTS],
    },
  },
  {
    // Handlers as users write them: a module's default export is its type.
    files: ['scripts/examples/*/handlers/*.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: ['**/*.mjs'],
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-unused-vars': 'error',
      'prefer-const': 'error',
      'no-restricted-globals': ['error', NO_INTERVAL],
    },
  },
);
