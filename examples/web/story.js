/**
 * Tells a story with the smallest precision of a nested set, and goes on with larger ones as soon as they have arrived.
 * In the address: ?set=FOLDER/NAME.json (default set/model.json), &bits=4,8 (upgrades), &device=wasm or webgpu, &tokens=200,
 * &temperature=0.7.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import { Conversation, openNested } from 'onnx-matquant/web';

const query = new URL(location.href).searchParams;
const set = new URL(query.get('set') ?? 'set/model.json', location.href);
const upgrades = (query.get('bits') ?? '4,8').split(',').map(Number);
const device = query.get('device') === 'webgpu' ? 'webgpu' : 'wasm';
const maxTokens = Number(query.get('tokens') ?? 200);
const temperature = Number(query.get('temperature') ?? 0.7);

const element = (id) => document.getElementById(id);
const kilobytes = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);
const seconds = (from) => `${((performance.now() - from) / 1000).toFixed(1)} s`;

/** Resolves with the loaded tokenizer, runtime and model. */
let loading;
let isSharpening = false;
let downloaded = 0;
let stopping;

/** Shows a download on the progress bar; the bytes of earlier ones are in `downloaded`. */
function progressOf(name) {
  let fetched = 0;
  return (progress) => {
    downloaded += progress.fetched - fetched;
    fetched = progress.fetched;
    element('bytes').textContent = kilobytes(downloaded);
    element('progress').max = progress.total;
    element('progress').value = progress.loaded;
    const whole = progress.ranges ? '' : '; this server sends whole files only, so that the beginning comes again';
    element('progress-label').textContent =
      `${name}: ${kilobytes(progress.loaded)} of ${kilobytes(progress.total)}${whole}`;
  };
}

async function json(name) {
  const response = await fetch(new URL(name, set));
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response.json();
}

async function load() {
  const [ort, tokenizer, config] = await Promise.all([
    device === 'webgpu' ? import('onnxruntime-web/webgpu') : import('onnxruntime-web/wasm'),
    json('tokenizer.json'),
    json('tokenizer_config.json'),
  ]);
  const session = { executionProviders: [device] };
  const model = await openNested(set, { ort, session, onProgress: progressOf('Smallest model') });
  element('precision').textContent = model.model;
  return { ort, model, tokenizer: new Tokenizer(tokenizer, config), end: config.eos_token };
}

/** Goes to one larger precision after the other while the story is told. */
async function sharpen(model) {
  if (isSharpening) return;
  isSharpening = true;
  try {
    while (upgrades.length > 0) {
      await model.upgrade(upgrades[0], { onProgress: progressOf(`int${upgrades[0]}`) });
      upgrades.shift();
      element('precision').textContent = model.model;
    }
  } finally {
    isSharpening = false;
  }
}

/** Appends text to the story; what one precision wrote is one span. */
function write(text, model) {
  let last = element('story').lastElementChild;
  if (last?.dataset.model !== model) {
    last = document.createElement('span');
    last.dataset.model = model;
    last.className = `level level-${Math.min(element('story').childElementCount, 2)}`;
    element('story').append(last);
  }
  last.textContent += text;
}

async function tell() {
  const clicked = performance.now();
  loading ??= load();
  const { ort, model, tokenizer, end } = await loading;
  sharpen(model).catch(showError);
  const prompt = element('prompt').value;
  element('story').textContent = prompt;
  const conversation = new Conversation(model, ort.Tensor);
  const ids = [];
  let shown = '';
  let started;
  const stop = [tokenizer.token_to_id(end)].filter((id) => id !== undefined);
  const options = { maxTokens, temperature, stop, signal: stopping.signal };
  for await (const id of conversation.generate(tokenizer.encode(prompt).ids, options)) {
    if (ids.length === 0) element('first').textContent = seconds(clicked);
    started ??= performance.now();
    ids.push(id);
    const text = tokenizer.decode(ids, { skip_special_tokens: true });
    // An unfinished character is shown with the ids that complete it.
    if (!text.endsWith('\uFFFD')) {
      write(text.slice(shown.length), model.model);
      shown = text;
    }
    const elapsed = (performance.now() - started) / 1000;
    if (ids.length > 1) element('speed').textContent = `${((ids.length - 1) / elapsed).toFixed(1)} tokens/s`;
    // Lets the browser draw.
    await new Promise((resolve) => setTimeout(resolve));
  }
  element('status').textContent = `${ids.length} tokens, written with ${model.model} at the end.`;
}

function showError(error) {
  element('status').textContent = error.message;
  element('status').className = 'error';
}

element('stop').addEventListener('click', () => stopping?.abort());
element('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  stopping = new AbortController();
  element('status').className = '';
  element('status').textContent = 'Loading and writing …';
  element('start').disabled = true;
  element('stop').disabled = false;
  try {
    await tell();
  } catch (error) {
    if (stopping.signal.aborted) element('status').textContent = 'Stopped.';
    else showError(error);
    if (element('precision').textContent === 'not loaded') loading = undefined;
  }
  element('start').disabled = false;
  element('stop').disabled = true;
});
