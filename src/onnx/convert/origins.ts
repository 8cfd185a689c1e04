/**
 * Where imported tensors and attributes came from. What the IR does not model of them (names, documentation, the typed field
 * that holds the numbers, unknown fields) is found again by identity: both are immutable, so they stand for their message as
 * long as they live, in clones too.
 */
import type { Attribute } from '../ir/attribute.js';
import type { Tensor } from '../ir/tensor.js';
import type { AttributeProto, SparseTensorProto, TensorProto } from '../proto/messages.js';

export const tensorOrigins: WeakMap<Tensor, TensorProto> = new WeakMap();
export const sparseOrigins: WeakMap<Tensor, SparseTensorProto> = new WeakMap();
export const attributeOrigins: WeakMap<Attribute, AttributeProto> = new WeakMap();
