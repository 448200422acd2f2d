import type { z } from 'zod';

/**
 * What the document at `/openapi.json` says of one route. The schemas of bodies are those that the
 * endpoints parse with; those of answers are held to by tests, which validate what a real node answers.
 */
export interface Operation {
  /** As in the router: `GET /tasks/:id`. */
  readonly route: `${'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'} /${string}`;
  readonly id: string;
  readonly tag: (typeof TAGS)[number]['name'];
  readonly summary: string;
  readonly description?: string;
  readonly query?: Readonly<Record<string, Parameter>>;
  readonly headers?: Readonly<Record<string, Parameter>>;
  /** By media type. */
  readonly body?: Readonly<Record<string, Content>>;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Beside those that every route of its kind may give: see `problemsOf`. */
  readonly problems?: Readonly<Record<number, string>>;
  /** It reads nothing of the database. */
  readonly isLocal?: true;
}

export interface Parameter {
  readonly description: string;
  readonly schema: z.ZodType;
  readonly example?: string | number;
}

export interface Content {
  /** Text where there is none. */
  readonly schema?: z.ZodType;
  readonly examples?: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly description: string;
  /** By media type; none for an answer without a body of its own. */
  readonly content?: Readonly<Record<string, Content>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export const TAGS = [
  { name: 'tasks', description: 'Submit, read, wait for, change, cancel and retry tasks.' },
  { name: 'workflows', description: 'Named sets of tasks that are accepted as a whole.' },
  { name: 'schedules', description: 'Tasks and workflows by cron or every so often.' },
  { name: 'types', description: 'Which types of tasks exist, and what holds them back.' },
  { name: 'cluster', description: 'Nodes, elections, health and metrics.' },
  { name: 'access', description: 'Keys, and who may do what.' },
  { name: 'documents', description: 'This document, and pages for people.' },
] as const;

export const JSON_TYPE = 'application/json';

export function jsonContent(
  schema: z.ZodType,
  examples?: Readonly<Record<string, unknown>>,
): Readonly<Record<string, Content>> {
  return { [JSON_TYPE]: examples === undefined ? { schema } : { schema, examples } };
}

/** The usual answer: a body in JSON, with one example. */
export function answer(description: string, schema: z.ZodType, example?: unknown): Answer {
  return {
    description,
    content: jsonContent(schema, example === undefined ? undefined : { example }),
  };
}

/** A page of a list, with the way to the next one. */
export function pageOf(description: string, schema: z.ZodType, example?: unknown): Answer {
  const link = 'The next page, as `</…>; rel="next"`; absent on the last one.';
  return { ...answer(description, schema, example), headers: { Link: link } };
}

/**
 * The refusals that a route may give by its kind: all that read the database answer 503 without it, and
 * 429 under load; those with a body refuse what cannot be read.
 */
export function problemsOf({ route, body, problems, isLocal }: Operation): {
  readonly [status: number]: string;
} {
  return {
    400: 'Something is wrong with the request; `errors` names every fault.',
    401: 'A key is needed, or the one that was given is not valid.',
    403: 'The role of the key does not allow it, or the request is not addressed to this node.',
    ...(/:/.test(route) ? { 404: 'There is no such thing.' } : {}),
    ...(body === undefined
      ? {}
      : {
          413: 'The body, or a part of it, is too large; `detail` names the limit.',
          415: 'The body is not of a media type that is accepted, or is encoded.',
        }),
    ...(isLocal === true
      ? {}
      : {
          429: 'Too much at once: try again after `Retry-After`.',
          503: 'No database, or the node shuts down: try again, or another node.',
        }),
    500: 'An error of the node itself; its log has it.',
    ...problems,
  };
}
