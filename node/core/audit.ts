/** One call that may change something, as the audit log keeps it. */
export interface AuditEntry {
  /** The name of the key; `local` where none was asked for. */
  readonly actor: string;
  readonly keyId: string | null;
  readonly address: string;
  /** `POST /tasks/{id}/cancel`. */
  readonly action: string;
  readonly target: string | null;
  readonly requestId: string;
}

/** Of a submit, which is written in its transaction. */
export interface SubmitAudit extends AuditEntry {
  readonly detail: Readonly<Record<string, unknown>>;
}
