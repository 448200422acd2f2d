/** What the user gave cannot be used: the sentence says why. The command ends with 2. */
export class InputError extends Error {
  constructor(message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.name = 'InputError';
  }
}
