import { expect } from 'chai';
import type { z } from 'zod';
import type * as answers from '../../node/api/contract/bodies.ts';
import type { bulkSchema, patchSchema, taskSchema } from '../../node/api/schemas.ts';
import type * as bodies from '../../node/client/client.ts';

/**
 * Goal: the types of the client are those of the interface, which no test at run time could see.
 * Method: the compiler. Each line assigns what the schemas of the API say to what the client says, or the
 * other way round for what a client sends.
 */
type Given<T> = T extends readonly (infer Element)[]
  ? readonly Given<Element>[]
  : T extends object
    ? { [Key in keyof T]: Given<Exclude<T[Key], undefined>> }
    : T;
/** A compiler error unless `From` may stand where `To` is asked for. */
type Fits<To, From extends To> = [To, From];

export type Answers = [
  Fits<bodies.TaskBody, Given<z.infer<typeof answers.task>>>,
  Fits<bodies.TaskSummaryBody, Given<z.infer<typeof answers.taskSummary>>>,
  Fits<bodies.WorkflowBody, Given<z.infer<typeof answers.workflow>>>,
  Fits<bodies.ExplainBody, Given<z.infer<typeof answers.explanation>>>,
  Fits<bodies.NodeBody, Given<z.infer<typeof answers.node>>>,
  Fits<bodies.ClusterBody, Given<z.infer<typeof answers.cluster>>>,
  Fits<bodies.EventBody, Given<z.infer<typeof answers.event>>>,
  Fits<bodies.TypeBody, Given<z.infer<typeof answers.type>>>,
  Fits<bodies.AttemptBody, Given<z.infer<typeof answers.attempt>>>,
  Fits<bodies.LogLineBody, Given<z.infer<typeof answers.logLine>>>,
];
type Mutable<T> = T extends readonly (infer Element)[]
  ? Mutable<Element>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T;
export type Requests = [
  Fits<z.input<typeof taskSchema>, Mutable<bodies.NewTask>>,
  Fits<z.input<typeof patchSchema>, Mutable<bodies.TaskPatchBody>>,
  Fits<z.input<typeof bulkSchema>, Mutable<bodies.BulkFilter>>,
];

describe('the types of the client', () => {
  it('fit those of the interface, or this file would not compile', () => {
    const checked: readonly [Answers?, Requests?] = [];
    expect(checked).to.deep.equal([]);
  });
});
