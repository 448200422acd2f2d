import { toError } from '../base/errors.ts';
import { FatalError } from '../core/handler.ts';
import type {
  Handler,
  HandlerContext,
  HandlerDefinition,
  PayloadParser,
  TaskInput,
} from '../core/handler.ts';
import { BACKOFF, DURATION_MS_MAX, MAX_ATTEMPTS } from '../core/task.ts';
import { typeOfFile, type UserType } from './user-code.ts';

/** A module of a handlers folder, as it was imported: what it says of itself, and how it runs. */
export interface HandlerModule extends Handler {
  readonly about: UserType;
}

type PlainFunction = (task: TaskInput, context: HandlerContext) => unknown;

/** Throws an error that says what is wrong with the module. */
export function toHandlerModule(
  file: string,
  exported: Readonly<Record<string, unknown>>,
): HandlerModule {
  const given = defaultOf(exported);
  if (given === undefined) throw new Error('has no default export');
  if (typeof given === 'function') {
    const about = aboutOf(file, { run: () => null });
    return { type: about.type, about, run: given as PlainFunction };
  }
  if (!isDefinition(given)) {
    throw new Error('its default export is neither a function nor an object with `run`');
  }
  const about = aboutOf(file, given);
  const { parse } = given;
  const run = async ({ payload }: TaskInput, context: HandlerContext): Promise<unknown> =>
    given.run(parse === undefined ? payload : await parsed(parse, payload), context);
  return { type: about.type, about, run };
}

/** Where a CommonJS module was written as an ES module, the default export lies one deeper. */
function defaultOf(exported: Readonly<Record<string, unknown>>): unknown {
  const { default: given } = exported;
  const isWrapped = typeof given === 'object' && given !== null && '__esModule' in given;
  return isWrapped ? (given as { readonly default?: unknown }).default : given;
}

function isDefinition(given: unknown): given is HandlerDefinition {
  return (
    typeof given === 'object' && given !== null && 'run' in given && typeof given.run === 'function'
  );
}

const ISOLATIONS: readonly unknown[] = ['thread', 'process'];

function aboutOf(file: string, given: HandlerDefinition): UserType {
  const { type, version, parse, timeoutMs, retry, isolation = 'thread' } = given;
  const known = ['type', 'version', 'parse', 'run', 'timeoutMs', 'retry', 'isolation'];
  for (const key of Object.keys(given)) must(known.includes(key), `\`${key}\``, 'is not known');
  must(type === undefined || isName(type), '`type`', 'must be 1 to 255 printable characters');
  must(version === undefined || isName(version), '`version`', 'must be a short text');
  must(ISOLATIONS.includes(isolation), '`isolation`', 'is thread or process');
  must(parse === undefined || parserOf(parse) !== undefined, '`parse`', 'is nothing that parses');
  const { maxAttempts, backoff } = retry ?? {};
  const isFixed = backoff?.type === 'fixed';
  const types = ['fixed', 'exponential', undefined];
  must(types.includes(backoff?.type), '`retry.backoff.type`', 'is fixed or exponential');
  const baseMs = whole(backoff?.baseMs, '`retry.backoff.baseMs`', 0, DURATION_MS_MAX);
  const maxMs = whole(backoff?.maxMs, '`retry.backoff.maxMs`', 0, DURATION_MS_MAX);
  return {
    ...{ type: type ?? typeOfFile(file), file, version: version ?? null, isolation },
    timeoutMs: whole(timeoutMs, '`timeoutMs`', 1, DURATION_MS_MAX),
    maxAttempts: whole(maxAttempts, '`retry.maxAttempts`', 1, MAX_ATTEMPTS.max),
    backoff:
      backoff === undefined
        ? null
        : { isFixed, baseMs: baseMs ?? BACKOFF.baseMs, maxMs: maxMs ?? BACKOFF.maxMs },
  };
}

function must(holds: boolean, what: string, fault: string): void {
  if (!holds) throw new Error(`${what} ${fault}`);
}

function isName(given: unknown): boolean {
  return typeof given === 'string' && /^[^\p{C}]{1,255}$/u.test(given);
}

function whole(given: unknown, what: string, min: number, max: number): number | null {
  if (given === undefined) return null;
  const isWhole = Number.isInteger(given) && (given as number) >= min && (given as number) <= max;
  must(isWhole, what, `must be a whole number from ${String(min)} to ${String(max)}`);
  return given as number;
}

interface Issue {
  readonly path?: readonly unknown[];
  readonly message: string;
}

type Judged = { readonly value: unknown } | { readonly issues: readonly Issue[] };
type Judge = (payload: unknown) => Judged | Promise<Judged>;

/** https://standardschema.dev, which zod, valibot and arktype follow, comes first: it may wait. */
function parserOf(parse: PayloadParser<unknown>): Judge | undefined {
  if (typeof parse === 'function' && !('~standard' in parse)) {
    return async (payload) => ({ value: await parse(payload) });
  }
  const parser = parse as {
    readonly '~standard'?: { readonly validate?: Judge };
    readonly safeParse?: (payload: unknown) => {
      success: boolean;
      data?: unknown;
      error?: unknown;
    };
    readonly parse?: (payload: unknown) => unknown;
  };
  const standard = parser['~standard'];
  if (typeof standard?.validate === 'function')
    return (payload) => standard.validate?.(payload) as Judged;
  if (typeof parser.safeParse === 'function') {
    return (payload) => {
      const result = parser.safeParse?.(payload);
      return result?.success === true
        ? { value: result.data }
        : { issues: issuesOf(result?.error) };
    };
  }
  if (typeof parser.parse !== 'function') return undefined;
  return (payload) => ({ value: parser.parse?.(payload) });
}

const FAULTS_MAX = 20;

async function parsed(parse: PayloadParser<unknown>, payload: unknown): Promise<unknown> {
  let judged: Judged;
  try {
    judged = (await parserOf(parse)?.(payload)) ?? { value: payload };
  } catch (thrown) {
    judged = { issues: issuesOf(thrown) };
  }
  if (!('issues' in judged) || judged.issues.length === 0)
    return (judged as { value: unknown }).value;
  const faults = judged.issues.slice(0, FAULTS_MAX).map(({ path = [], message }) => {
    return `${pointerOf(path)}: ${message}`;
  });
  const more = judged.issues.length - faults.length;
  if (more > 0) faults.push(`and ${String(more)} more`);
  throw new FatalError('payload_invalid', `the payload is refused: ${faults.join('; ')}`);
}

/** Of an error that a parser throws: its own list, or what it says. */
function issuesOf(thrown: unknown): readonly Issue[] {
  const { issues } = (thrown ?? {}) as { readonly issues?: unknown };
  return Array.isArray(issues) ? (issues as readonly Issue[]) : [toError(thrown)];
}

/** `#/a/0/b`, as the API points at faults of a request. */
function pointerOf(path: readonly unknown[]): string {
  const steps = path.map((step) => {
    const key = typeof step === 'object' && step !== null && 'key' in step ? step.key : step;
    return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  });
  return `#${steps.join('')}`;
}
