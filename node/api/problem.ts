import { AppError, errors, toError } from '../base/errors.ts';
import type { ApiResponse } from './endpoint.ts';

/**
 * Errors as RFC 9457 problem documents. `code` is what a program should look at; no text of a foreign
 * error, and never a stack, leaves the node.
 */
const TITLES: Readonly<Record<number, string>> = {
  400: 'The request is not valid',
  401: 'Who calls is not known',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'The request conflicts with what is stored',
  413: 'Too large',
  415: 'Unsupported media type',
  429: 'Too many requests',
  431: 'Too many headers',
  500: 'Internal error',
  503: 'Not available at the moment',
};

export function problem(error: AppError, requestId: string): ApiResponse {
  const { errors: faults, retryAfterS, extra } = error.details;
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (retryAfterS !== undefined) headers['retry-after'] = String(retryAfterS);
  if (error.httpStatus === 401) headers['www-authenticate'] = 'Bearer realm="skein"';
  const text = JSON.stringify({
    type: `urn:skein:problem:${error.code}`,
    title: TITLES[error.httpStatus] ?? 'Error',
    status: error.httpStatus,
    detail: error.message,
    code: error.code,
    ...(faults === undefined ? {} : { errors: faults }),
    ...extra,
    request_id: requestId,
  });
  return { status: error.httpStatus, headers, text };
}

/** Whatever was thrown as an AppError; what is none, and not express's, is our bug. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  // Express refuses a path whose percent-encoding is broken.
  if (thrown instanceof URIError) return errors.malformed('the path is not percent-encoded UTF-8');
  return new AppError('internal', 'an unexpected error; the log of this node has it', {
    httpStatus: 500,
    cause: toError(thrown),
  });
}

export const refusals = {
  tooManyHeaders: (most: number): AppError =>
    new AppError('too_many_headers', `there are more than ${String(most)} headers`, {
      httpStatus: 431,
    }),
  tooManyClients: (): AppError =>
    new AppError('overloaded', 'this node has too many live clients', {
      httpStatus: 503,
      retryable: true,
      details: { retryAfterS: 1 },
    }),
  notAllowed: (method: string): AppError =>
    new AppError('method_not_allowed', `${method} is not possible here`, { httpStatus: 405 }),
  noRoute: (path: string): AppError =>
    new AppError('not_found', `there is nothing at ${path}`, { httpStatus: 404 }),
  mediaType: (message: string): AppError =>
    new AppError('unsupported_media_type', message, { httpStatus: 415 }),
} as const;
