/** Tests are TypeScript compiled by tsc; Jest runs the JavaScript of dist/test as plain ECMAScript modules. */
export default {
  rootDir: 'dist/test',
  testMatch: ['**/*.test.js'],
  transform: {},
  testEnvironment: '../../scripts/jest-environment.mjs',
  testTimeout: 180_000,
  maxWorkers: 2,
  workerIdleMemoryLimit: '1GB',
};
