import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { openApiOf, OPERATIONS } from '../../node/api/contract/openapi.ts';

/**
 * Holds answers to the document at `/openapi.json`, more strictly than a client may: a field that the
 * document does not name is a fault here, so that none is added without being described.
 */
export interface SeenAnswer {
  readonly method: string;
  /** As it was asked for, with its query. */
  readonly path: string;
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

interface Json {
  [key: string]: unknown;
}

const DOCUMENT_ID = 'urn:skein:openapi';

export class Contract {
  /** Operation and status of all that has been judged: `getTask 200`. */
  readonly seen = new Set<string>();
  readonly #document = openApiOf(
    OPERATIONS.map(({ route }) => route),
    '0.0.0',
  );
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #validators = new Map<string, ValidateFunction>();
  readonly #routes: readonly { readonly pattern: RegExp; readonly path: string }[];

  constructor() {
    ajvFormats.default(this.#ajv);
    const closed = structuredClone(this.#document) as unknown as Json;
    close(closed);
    this.#ajv.addSchema({ ...closed, $id: DOCUMENT_ID });
    // A fixed part of a path goes before a parameter: /tasks/batch is no task.
    this.#routes = Object.keys(this.#document.paths)
      .toSorted((a, b) => a.split('{').length - b.split('{').length)
      .map((path) => ({
        path,
        pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
      }));
  }

  /** What is wrong with an answer, in words; nothing where it is as the document says. */
  faultsOf({ method, path, status, contentType, body }: SeenAnswer): readonly string[] {
    // The router takes a slash at the end for none,
    // and a step of one dot as well.
    const pathname = new URL(`http://node${path}`).pathname.replace(/(?<=.)\/$/, '');
    const route = this.#routes.find(({ pattern }) => pattern.test(pathname));
    const operation = this.#document.paths[route?.path ?? '']?.[method.toLowerCase()] as
      | {
          readonly operationId: string;
          readonly responses: Readonly<
            Record<string, { readonly content?: Readonly<Record<string, Json>> }>
          >;
        }
      | undefined;
    const type = contentType.split(';', 1)[0] ?? '';
    if (route === undefined || operation === undefined) {
      if (status !== 404 && status !== 405) return [`${method} ${pathname} is not described`];
      return this.#judge('/components/schemas/Problem', body);
    }
    const name = `${operation.operationId} ${String(status)}`;
    const { content } = operation.responses[String(status)] ?? {};
    if (operation.responses[String(status)] === undefined) return [`${name} is not described`];
    this.seen.add(name);
    if (content === undefined) return [];
    const found = content[type];
    if (found === undefined) return [`${name} is not described as ${type}`];
    if (!type.endsWith('json')) return [];
    const at = ['paths', route.path, method.toLowerCase(), 'responses', String(status), 'content'];
    return this.#judge(pointerOf([...at, type, 'schema']), body).map((fault) => `${name}${fault}`);
  }

  #judge(pointer: string, body: unknown): readonly string[] {
    let validate = this.#validators.get(pointer);
    if (validate === undefined) {
      validate = this.#ajv.compile({ $ref: `${DOCUMENT_ID}#${pointer}` });
      this.#validators.set(pointer, validate);
    }
    if (validate(body)) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) =>
        ` ${instancePath} ${message ?? ''} ${JSON.stringify(params)}`,
    );
  }
}

function pointerOf(steps: readonly string[]): string {
  return steps
    .map((step) => `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`)
    .join('');
}

function close(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const inner of Object.values(value)) close(inner);
  const schema = value as Json;
  if (schema['type'] === 'object' && schema['properties'] !== undefined) {
    schema['additionalProperties'] ??= false;
  }
}
