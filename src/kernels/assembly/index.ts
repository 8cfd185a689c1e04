export { convertRows } from './convert';
export { dataFree } from './datafree';
