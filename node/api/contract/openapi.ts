import { z } from 'zod';
import { bulkSchema, patchSchema, taskSchema } from '../schemas.ts';
import { keySchema } from '../access/keys.ts';
import { gateSchema } from '../types.ts';
import { accessOperations } from './access-operations.ts';
import * as bodies from './bodies.ts';
import { clusterOperations } from './cluster-operations.ts';
import { graphOperations, scheduleBody, workflowBody } from './graph-operations.ts';
import { problemsOf, TAGS } from './operation.ts';
import type { Answer, Content, Operation, Parameter } from './operation.ts';
import { taskOperations } from './task-operations.ts';

/**
 * The document at `/openapi.json`: OpenAPI 3.1, made out of the very schemas that parse the bodies. It
 * names the routes that the node has, and no other; a test walks the router for one that is missing here.
 *
 * What it does not promise: that a body which fits its schema is accepted. Rules over several fields are
 * in words alone, and so are the sizes of texts in bytes. Answers may get more fields.
 */
export const OPERATIONS: readonly Operation[] = [
  ...taskOperations,
  ...graphOperations,
  ...clusterOperations,
  ...accessOperations,
];

/** Those that the document names; every other schema stands where it is used. */
const NAMED: Readonly<Record<string, z.ZodType>> = {
  NewTask: taskSchema,
  TaskPatch: patchSchema,
  TaskFilter: bulkSchema,
  NewWorkflow: workflowBody,
  NewSchedule: scheduleBody,
  TypePatch: gateSchema,
  NewKey: keySchema,
  Key: bodies.key,
  AuditEntry: bodies.audit,
  MadeKey: bodies.madeKey,
  Task: bodies.task,
  TaskSummary: bodies.taskSummary,
  TaskStatus: bodies.status,
  WaitingFor: bodies.waitingFor,
  Attempt: bodies.attempt,
  LogLine: bodies.logLine,
  Explanation: bodies.explanation,
  Accepted: bodies.accepted,
  AcceptedBatch: bodies.acceptedBatch,
  AcceptedWorkflow: bodies.acceptedWorkflow,
  AcceptedRun: bodies.acceptedRun,
  AskedOfWorkflow: bodies.asked,
  Count: bodies.bulkCount,
  Workflow: bodies.workflow,
  Graph: bodies.graph,
  Schedule: bodies.schedule,
  Deleted: bodies.deleted,
  Type: bodies.type,
  Node: bodies.node,
  Cluster: bodies.cluster,
  Event: bodies.event,
  Health: bodies.health,
  Readiness: bodies.readiness,
  Leadership: bodies.leadership,
  Problem: bodies.problem,
};

type Json = Readonly<Record<string, unknown>>;

export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: Json;
  readonly tags: readonly Json[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly security: readonly Json[];
  readonly components: {
    readonly schemas: Readonly<Record<string, Json>>;
    readonly securitySchemes: Json;
  };
}

/** Of a node that has these routes, each as `GET /tasks/:id`. */
export function openApiOf(routes: readonly string[], version: string): OpenApiDocument {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of OPERATIONS) {
    if (!routes.includes(operation.route)) continue;
    const [method = '', route = ''] = operation.route.split(' ');
    const path = route.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [method.toLowerCase()]: operationBody(operation, schemas) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Skein',
      version,
      summary: 'Graphs of tasks on a cluster of identical nodes and one PostgreSQL.',
      description:
        'Every node answers every call. Times are ISO 8601 in UTC, durations milliseconds. Ids in paths ' +
        'are percent-encoded. A refusal is a problem document (RFC 9457); `code` is for programs. A field ' +
        'or parameter that is not known is refused. What changes is told live over the WebSocket `/ws`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: TAGS.map((tag) => ({ ...tag })),
    paths,
    // On loopback nobody needs a key.
    security: [{}, { key: [] }],
    components: {
      schemas: schemas.components(),
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: '`skein_…`, as keys are made.' },
      },
    },
  };
}

function operationBody(operation: Operation, schemas: Schemas): Json {
  const { id, tag, summary, description, query = {}, headers = {}, body, answers } = operation;
  const inPath = [...operation.route.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: 'Percent-encoded.',
    schema: { type: 'string', minLength: 1 },
  }));
  const parameters = [
    ...inPath,
    ...Object.entries(query).map(([name, given]) => parameter(name, 'query', given, schemas)),
    ...Object.entries(headers).map(([name, given]) => parameter(name, 'header', given, schemas)),
  ];
  const problems = Object.entries(problemsOf(operation)).filter(([code]) => !(code in answers));
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: contents(body, schemas) } }),
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([code, given]) => [code, answerBody(given, schemas)]),
      ...problems.map(([code, text]) => [code, problemBody(Number(code), text, schemas)]),
    ]) as Json,
  };
}

function parameter(name: string, where: string, given: Parameter, schemas: Schemas): Json {
  const { description, schema, example } = given;
  return {
    ...{ name, in: where, description, schema: schemas.of(schema) },
    ...(example === undefined ? {} : { example }),
  };
}

function answerBody({ description, content, headers }: Answer, schemas: Schemas): Json {
  return {
    description,
    ...(headers === undefined ? {} : { headers: headerBodies(headers) }),
    ...(content === undefined ? {} : { content: contents(content, schemas) }),
  };
}

function problemBody(code: number, description: string, schemas: Schemas): Json {
  const content = contents({ 'application/problem+json': { schema: bodies.problem } }, schemas);
  const isTransient = code === 429 || code === 503;
  const headers = headerBodies(isTransient ? { 'Retry-After': 'Seconds to wait.' } : {});
  return { description, ...(isTransient ? { headers } : {}), content };
}

function headerBodies(headers: Readonly<Record<string, string>>): Json {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]),
  );
}

function contents(content: Readonly<Record<string, Content>>, schemas: Schemas): Json {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, examples }]) => [
      type,
      {
        schema: schema === undefined ? { type: 'string' } : schemas.of(schema),
        ...(examples === undefined
          ? {}
          : {
              examples: Object.fromEntries(
                Object.entries(examples).map(([name, value]) => [name, { value }]),
              ),
            }),
      },
    ]),
  );
}

/** JSON Schemas of zod's, where the named ones are references. */
class Schemas {
  readonly #registry = z.registry<{ id?: string }>();

  constructor() {
    for (const [id, schema] of Object.entries(NAMED)) this.#registry.add(schema, { id });
  }

  components(): Readonly<Record<string, Json>> {
    const { schemas } = z.toJSONSchema(this.#registry, { io: 'input', uri: referenceTo });
    return Object.fromEntries(
      Object.entries(schemas).map(([id, schema]) => [id, withoutOrigin(schema)]),
    );
  }

  of(schema: z.core.$ZodType): Json {
    const id = this.#registry.get(schema)?.id;
    if (id !== undefined) return { $ref: referenceTo(id) };
    if (schema instanceof z.ZodArray && this.#registry.has(schema.element)) {
      const list = withoutOrigin(z.toJSONSchema(schema, { io: 'input' }));
      return { ...list, items: this.of(schema.element) };
    }
    return withoutOrigin(z.toJSONSchema(schema, { io: 'input' }));
  }
}

function referenceTo(id: string): string {
  return `#/components/schemas/${id}`;
}

function withoutOrigin(schema: object): Json {
  return Object.fromEntries(
    Object.entries(schema).filter(([key]) => key !== '$schema' && key !== '$id'),
  );
}
