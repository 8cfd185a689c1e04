/** The client of object stores, `@aws-sdk/client-s3`: optional, loaded when an address of one is given. */
import { optionalPackage } from '../../optional-package.js';

type ClientPackage = typeof import('@aws-sdk/client-s3');

/** The package with a client that is configured. */
export interface Client {
  readonly sdk: ClientPackage;
  readonly s3: InstanceType<ClientPackage['S3Client']>;
}

/** Times that the client itself tries a request, in quick succession. */
const ATTEMPTS = 3;
/** Milliseconds until a connection has to be there, and without a byte until it counts as broken. */
const CONNECTING = 10_000;
const SILENCE = 60_000;

/**
 * A client by the environment variables and profiles of the AWS tools. Where `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names a server,
 * the bucket is part of the path, and the region has a default. Error code `store-package` where the package is not installed.
 */
export async function openClient(environment: NodeJS.ProcessEnv = process.env): Promise<Client> {
  // The client warns of versions of Node.js that its later versions do not run on.
  environment['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const sdk = await optionalPackage<ClientPackage>('@aws-sdk/client-s3', 'store-package', 'An object store needs');
  const { AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = environment;
  const hasEndpoint = Boolean(AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL);
  const region = AWS_REGION || AWS_DEFAULT_REGION || (hasEndpoint ? 'us-east-1' : undefined);
  const s3 = new sdk.S3Client({
    ...(region !== undefined && { region }),
    forcePathStyle: hasEndpoint,
    maxAttempts: ATTEMPTS,
    // Files have digests of their own, and not every store knows these checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECTING, socketTimeout: SILENCE },
  });
  return { sdk, s3 };
}
