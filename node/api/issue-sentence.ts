import type { z } from 'zod';

/** What a value must be, in our words: behind a pointer to it, `must be a number from 1 to 100`. */
export function sentenceOfIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${kindOf(issue.expected)}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => String(value)).join(', ')}`.replace(
        /, ([^,]*)$/,
        ' or $1',
      );
    case 'too_small':
      return boundSentence(issue.origin, `${String(issue.minimum)} at least`);
    case 'too_big':
      return boundSentence(issue.origin, `${String(issue.maximum)} at most`);
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined; // Zod's own.
  }
}

function kindOf(expected: string): string {
  const article = /^[aeio]/.test(expected) ? 'an' : 'a';
  switch (expected) {
    case 'int':
      return 'a whole number';
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'record':
      return 'an object';
    default:
      return `${article} ${expected}`;
  }
}

function boundSentence(origin: string, bound: string): string {
  switch (origin) {
    case 'string':
      return `must have ${bound.replace(/ /, ' characters ')}`;
    case 'array':
      return `must hold ${bound}`;
    default:
      return `must be ${bound}`;
  }
}
