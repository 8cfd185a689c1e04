/** 'ai.onnx' is the long name of the default domain. */
export function opsetDomain(domain: string | undefined): string {
  return domain === 'ai.onnx' ? '' : (domain ?? '');
}
