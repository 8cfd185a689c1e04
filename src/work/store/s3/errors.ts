/** What errors of an object store mean. */
import { CompilerError } from '../../../diagnostics.js';

/** The parts of an error of the client that say what happened. */
interface ClientError {
  readonly name?: string;
  readonly Code?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** The status that the store answered with, or undefined where no answer came. */
export const statusOf = (error: unknown): number | undefined => (error as ClientError).$metadata?.httpStatusCode;

const nameOf = ({ name = '', Code, code }: ClientError): string =>
  (name === 'Error' || name === 'AggregateError' ? (code ?? Code) : name) ?? '';

/** Names of errors that trying again does not cure, by what they say. */
const CREDENTIALS = /^(CredentialsProviderError|TokenProviderError)$/;
const ACCESS =
  /^(AccessDenied|Forbidden|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|AllAccessDisabled)$/;
const PLACE = /^(NoSuchBucket|InvalidBucketName|PermanentRedirect|AuthorizationHeaderMalformed|NotImplemented)$/;

/** Whether the same request may succeed later: no answer came, or the store was busy. */
export function isPassing(error: unknown): boolean {
  if (error instanceof CompilerError) return false;
  const { message = '' } = error as ClientError;
  const name = nameOf(error as ClientError);
  if (CREDENTIALS.test(name) || /region is missing/i.test(message)) return false;
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 408 || status === 429 || status === 200;
}

/** The error that a user sees, with code `store`. */
export function storeError(
  error: unknown,
  { bucket, shown }: { readonly bucket: string; readonly shown: string },
): Error {
  if (error instanceof CompilerError) return error;
  return new CompilerError('store', shown, sentenceOf(error as ClientError, bucket));
}

function sentenceOf(error: ClientError, bucket: string): string {
  const name = nameOf(error);
  const status = statusOf(error);
  if (CREDENTIALS.test(name)) return 'There are no credentials for the object store: AWS_ACCESS_KEY_ID is not set';
  if (/region is missing/i.test(error.message ?? ''))
    return 'The region of the object store is not known: AWS_REGION is not set';
  if (name === 'NoSuchBucket') return `The object store has no bucket ${bucket}`;
  if (status === 501 || name === 'NotImplemented')
    return `The object store does not support what plans need: ${plain(error)}`;
  if (ACCESS.test(name) || status === 401 || status === 403)
    return `The object store does not let this user read and write there (${name || status})`;
  if (status === 301 || PLACE.test(name)) return `The bucket ${bucket} is in another place (${name || status})`;
  if (isPassing(error)) return `The object store does not answer (${name || plain(error)})`;
  return `The object store refuses a request (${name || status}): ${plain(error)}`;
}

const plain = ({ message = '' }: ClientError): string => message.replaceAll(/\s+/g, ' ').slice(0, 200);
