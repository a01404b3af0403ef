// Sound as the page handles it: recorded, cut and written as 16-bit WAV without help from the server.

/** Samples in [-1, 1], one Float32Array per channel, as a WAV file. */
export function wav(channels, rate) {
  const frames = channels[0].length;
  const bytes = new DataView(new ArrayBuffer(44 + frames * channels.length * 2));
  const text = (at, word) => [...word].forEach((c, index) => bytes.setUint8(at + index, c.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, bytes.byteLength - 8, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, channels.length, true);
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, rate * channels.length * 2, true);
  bytes.setUint16(32, channels.length * 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, frames * channels.length * 2, true);
  let at = 44;
  for (let frame = 0; frame < frames; frame += 1) {
    for (const channel of channels) {
      const value = Math.max(-1, Math.min(1, channel[frame]));
      bytes.setInt16(at, value < 0 ? value * 32768 : value * 32767, true);
      at += 2;
    }
  }
  return new File([bytes], "audio.wav", { type: "audio/wav" });
}

/** The loudest sample of each of `count` stretches, in [0, 1]. */
export function peaks(samples, count) {
  const size = Math.max(1, Math.floor(samples.length / count));
  return Array.from({ length: count }, (_, bar) => {
    let most = 0;
    for (let at = bar * size; at < Math.min(samples.length, (bar + 1) * size); at += Math.max(1, size >> 8)) most = Math.max(most, Math.abs(samples[at]));
    return most;
  });
}

/** Records from a stream; `chunks` of one channel are there at any time. */
export class Recorder {
  async start(stream, rate) {
    this.stream = stream;
    this.context = new AudioContext(rate ? { sampleRate: rate } : {});
    await this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    this.node = new AudioWorkletNode(this.context, "recorder");
    this.chunks = [];
    this.paused = false;
    this.node.port.onmessage = ({ data }) => this.paused || this.chunks.push(data);
    this.context.createMediaStreamSource(stream).connect(this.node);
  }

  get rate() {
    return this.context.sampleRate;
  }

  /** What was recorded since the last call, as one array. */
  take() {
    const parts = this.chunks;
    this.chunks = [];
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  }

  stop() {
    this.stream.getTracks().forEach((track) => track.stop());
    this.context.close();
  }
}
