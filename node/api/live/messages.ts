import { z } from 'zod';
import { TASK_STATUSES } from '../../core/task.ts';

/** What a client of `/ws` may say; each message is one JSON object in a text frame. */
const text = z
  .string()
  .min(1)
  .max(1000)
  .refine((value) => !value.includes('\0'));

const viewSchema = z.discriminatedUnion('view', [
  z.strictObject({ view: z.literal('overview') }),
  z.strictObject({ view: z.literal('nodes') }),
  z.strictObject({ view: z.literal('events') }),
  z.strictObject({ view: z.literal('workflows') }),
  z.strictObject({ view: z.literal('schedules') }),
  z.strictObject({
    view: z.literal('tasks'),
    status: z.enum(TASK_STATUSES).optional(),
    type: text.optional(),
    workflow: text.optional(),
    tag: text.optional(),
    limit: z.int().min(1).max(500).optional(),
  }),
  z.strictObject({ view: z.literal('task'), id: text }),
  z.strictObject({ view: z.literal('workflow'), id: text }),
]);

const messageSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('subscribe'),
    sub: z.string().min(1).max(64),
    to: viewSchema,
    resume: z.strictObject({ epoch: z.string().max(64), seq: z.int().min(0) }).optional(),
  }),
  z.strictObject({ type: z.literal('unsubscribe'), sub: z.string().min(1).max(64) }),
  z.strictObject({ type: z.literal('ping') }),
]);

export type ViewName = z.infer<typeof viewSchema>;
export type ClientMessage = z.infer<typeof messageSchema>;

/** Null for what is no message of the protocol. */
export function maybeMessage(frame: string): ClientMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return null;
  }
  const parsed = messageSchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** The same for the same view, whatever the order in which its parts were given. */
export function keyOf(to: ViewName): string {
  return JSON.stringify(Object.entries(to).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
