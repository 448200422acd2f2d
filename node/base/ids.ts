/**
 * Branded numbers and strings, so that a task's number is never handed over as a node's. They are
 * made here only, or by the parsers at a border (a row of PostgreSQL, a frame of gRPC).
 *
 * Every number that comes from a bigint column stays a safe integer (below 2^53): at a million
 * tasks a second the sequence lasts 285 years.
 */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** The number of a task in the database (`task.seq`), given at submit, never used again. */
export type TaskSeq = Brand<number, 'TaskSeq'>;
/** The number of one incarnation of a node (`node.node_id`): a restart has a new one. */
export type NodeId = Brand<number, 'NodeId'>;
/** The fencing number of a lease; per task it only grows and is never reset. */
export type LeaseSeq = Brand<number, 'LeaseSeq'>;
/** The leader's epoch; per database it only grows. 0 stands for "none yet". */
export type Term = Brand<number, 'Term'>;
/** The number of a task type (`type.type_id`). */
export type TypeId = Brand<number, 'TypeId'>;

export const toTaskSeq = (value: number): TaskSeq => value as TaskSeq;
export const toNodeId = (value: number): NodeId => value as NodeId;
export const toLeaseSeq = (value: number): LeaseSeq => value as LeaseSeq;
export const toTerm = (value: number): Term => value as Term;
export const toTypeId = (value: number): TypeId => value as TypeId;
