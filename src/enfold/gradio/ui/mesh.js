// Bodies in files: each reader gives parts {positions, normals?, colors?, uvs?, indices?, color, texture?, matrix?}.

const text = (bytes) => new TextDecoder().decode(bytes);
const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/** Read a file by the end of its name; rejects with what is wrong with it. */
export async function readMesh(bytes, name) {
  const kind = (name.toLowerCase().match(/\.(\w+)$/) || [])[1];
  const reader = { obj: readObj, stl: readStl, ply: readPly, glb: readGlb, gltf: (all) => readGltf(JSON.parse(text(all)), null) }[kind];
  if (!reader) throw new Error(`.${kind} files are not shown here; .obj, .stl, .ply, .glb and .gltf are.`);
  const parts = (await reader(bytes)).filter((part) => part.positions.length);
  if (!parts.length) throw new Error("The file holds no body.");
  return parts;
}

/** Wavefront: faces of any number of corners, whose positions, textures and normals are counted from 1 or from the end. */
export function readObj(bytes) {
  const from = { v: [], vt: [], vn: [], tint: [] };
  const out = { positions: [], normals: [], colors: [], lone: [] };
  for (const line of text(bytes).split(/\r?\n/)) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === "v") {
      from.v.push(rest.slice(0, 3).map(Number));
      from.tint.push(rest.length >= 6 ? rest.slice(3, 6).map(Number) : null);
    } else if (word === "vn") from.vn.push(rest.map(Number));
    else if (word === "f") {
      const corners = rest.map((each) => each.split("/").map((part) => Number(part)));
      const at = (list, index) => list[index < 0 ? list.length + index : index - 1];
      for (let i = 1; i + 1 < corners.length; i += 1) {
        for (const corner of [corners[0], corners[i], corners[i + 1]]) {
          const place = at(from.v, corner[0]);
          if (!place) throw new Error("A face names a corner that is not there.");
          out.positions.push(...place);
          const normal = corner[2] && at(from.vn, corner[2]);
          if (normal) out.normals.push(...normal);
          out.colors.push(...(at(from.tint, corner[0]) || [1, 1, 1]));
        }
      }
    }
  }
  if (!out.positions.length) return [{ positions: new Float32Array(from.v.flat()), points: true, colors: from.tint[0] ? new Float32Array(from.tint.flat()) : null }];
  return [{
    positions: new Float32Array(out.positions),
    normals: out.normals.length === out.positions.length ? new Float32Array(out.normals) : null,
    colors: from.tint.some(Boolean) ? new Float32Array(out.colors) : null,
  }];
}

/** STL: triangles in bytes (80 of heading, a count, 50 each) or in words. */
export function readStl(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length >= 84 ? view.getUint32(80, true) : 0;
  if (count && 84 + 50 * count === bytes.length) {
    const positions = new Float32Array(count * 9);
    for (let face = 0; face < count; face += 1) {
      for (let k = 0; k < 9; k += 1) positions[face * 9 + k] = view.getFloat32(84 + face * 50 + 12 + k * 4, true);
    }
    return [{ positions }];
  }
  const found = [...text(bytes).matchAll(/vertex\s+(\S+)\s+(\S+)\s+(\S+)/g)];
  return [{ positions: new Float32Array(found.flatMap(([, ...place]) => place.map(Number))) }];
}

const SCALARS = { char: 1, int8: 1, uchar: 1, uint8: 1, short: 2, int16: 2, ushort: 2, uint16: 2, int: 4, int32: 4, uint: 4, uint32: 4, float: 4, float32: 4, double: 8, float64: 8 };
const READ = { char: "Int8", int8: "Int8", uchar: "Uint8", uint8: "Uint8", short: "Int16", int16: "Int16", ushort: "Uint16", uint16: "Uint16", int: "Int32", int32: "Int32", uint: "Uint32", uint32: "Uint32", float: "Float32", float32: "Float32", double: "Float64", float64: "Float64" };

/** PLY: elements with properties, in words or in bytes of either order; without faces it is a cloud of points. */
export function readPly(bytes) {
  const top = text(bytes.subarray(0, 65536));
  const end = top.search(/end_header\r?\n/);
  if (!top.startsWith("ply") || end < 0) throw new Error("This is not a PLY file.");
  const start = end + top.slice(end).indexOf("\n") + 1;
  const elements = [];
  let format = "ascii";
  for (const line of top.slice(0, end).split(/\r?\n/)) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "format") [, format] = words;
    if (words[0] === "element") elements.push({ name: words[1], count: Number(words[2]), properties: [] });
    if (words[0] === "property") elements.at(-1).properties.push(words[1] === "list" ? { name: words[4], count: words[2], type: words[3] } : { name: words[2], type: words[1] });
  }
  const ascii = format === "ascii";
  const words = ascii ? text(bytes.subarray(start)).split(/\s+/).filter(Boolean) : null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = ascii ? 0 : start;
  const take = (type) => {
    if (ascii) return Number(words[at++]);
    const value = view[`get${READ[type]}`](at, format === "binary_little_endian");
    at += SCALARS[type];
    return value;
  };
  const places = [];
  const colors = [];
  const normals = [];
  const indices = [];
  let scale = 1;
  for (const { name, count, properties } of elements) {
    for (let row = 0; row < count; row += 1) {
      const record = {};
      for (const property of properties) {
        if (!property.count) record[property.name] = take(property.type);
        else record[property.name] = Array.from({ length: take(property.count) }, () => take(property.type));
      }
      if (name === "vertex") {
        places.push(record.x, record.y, record.z);
        if ("red" in record) {
          if (/^(u?char|u?int8)$/.test(properties.find((each) => each.name === "red").type)) scale = 255;
          colors.push(record.red / scale, record.green / scale, record.blue / scale);
        }
        if ("nx" in record) normals.push(record.nx, record.ny, record.nz);
      } else if (name === "face") {
        const corners = record.vertex_indices || record.vertex_index || [];
        for (let i = 1; i + 1 < corners.length; i += 1) indices.push(corners[0], corners[i], corners[i + 1]);
      }
    }
  }
  return [{
    positions: new Float32Array(places),
    normals: normals.length && indices.length ? new Float32Array(normals) : null,
    colors: colors.length ? new Float32Array(colors) : null,
    indices: indices.length ? new Uint32Array(indices) : null,
    points: !indices.length,
  }];
}

/** glTF in one file: chunks of JSON and of bytes. */
export function readGlb(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0x46546c67) throw new Error("This is not a GLB file.");
  let json = null;
  let body = null;
  for (let at = 12; at + 8 <= bytes.length;) {
    const [size, kind] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const chunk = bytes.subarray(at + 8, at + 8 + size);
    if (kind === 0x4e4f534a) json = JSON.parse(text(chunk));
    else if (kind === 0x004e4942) body = chunk;
    at += 8 + size;
  }
  return readGltf(json, body);
}

const ARRAYS = { 5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const WIDTHS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT2: 4, MAT3: 9, MAT4: 16 };

/** glTF 2.0: the meshes of the scene where its nodes put them; materials' base colours and textures. */
export async function readGltf(json, body) {
  const inside = async (uri) => {
    if (!uri.startsWith("data:")) throw new Error("This .gltf needs other files beside it; a .glb holds everything.");
    return new Uint8Array(await (await fetch(uri)).arrayBuffer());
  };
  const buffers = await Promise.all((json.buffers || []).map((buffer) => (buffer.uri ? inside(buffer.uri) : body)));
  const viewOf = (index) => {
    const { buffer, byteOffset = 0, byteLength, byteStride } = json.bufferViews[index];
    return { bytes: buffers[buffer].subarray(byteOffset, byteOffset + byteLength), stride: byteStride };
  };
  const read = (index) => {
    if (index === undefined) return null;
    const { bufferView, byteOffset = 0, componentType, count, type, normalized } = json.accessors[index];
    const Kind = ARRAYS[componentType];
    const width = WIDTHS[type];
    const made = new (normalized ? Float32Array : Kind)(count * width);
    if (bufferView === undefined) return made;
    const { bytes, stride = width * Kind.BYTES_PER_ELEMENT } = viewOf(bufferView);
    const most = normalized ? 2 ** (8 * Kind.BYTES_PER_ELEMENT - (Kind === Int8Array || Kind === Int16Array ? 1 : 0)) - 1 : 1;
    for (let row = 0; row < count; row += 1) {
      // A copy of each row, since rows need not lie at multiples of their numbers' size.
      const at = byteOffset + row * stride;
      const values = new Kind(bytes.slice(at, at + width * Kind.BYTES_PER_ELEMENT).buffer);
      for (let k = 0; k < width; k += 1) made[row * width + k] = values[k] / most;
    }
    return made;
  };
  const pictures = await Promise.all((json.images || []).map(async ({ uri, bufferView, mimeType }) => {
    const bytes = uri ? await inside(uri) : viewOf(bufferView).bytes;
    return createImageBitmap(new Blob([bytes], { type: mimeType || "image/png" }));
  }));
  const parts = [];
  const visit = (index, above) => {
    const node = json.nodes[index];
    const matrix = multiply(above, node.matrix || placed(node));
    for (const { attributes, indices, material, mode = 4 } of json.meshes?.[node.mesh]?.primitives || []) {
      if (mode !== 4 && mode !== 0) continue;
      const { pbrMetallicRoughness: look = {} } = json.materials?.[material] || {};
      const texture = json.textures?.[look.baseColorTexture?.index];
      const colors = read(attributes.COLOR_0);
      const wide = colors && json.accessors[attributes.COLOR_0].type === "VEC4";
      parts.push({
        positions: read(attributes.POSITION), normals: read(attributes.NORMAL), uvs: read(attributes.TEXCOORD_0),
        colors: wide ? colors.filter((_, k) => k % 4 < 3) : colors,
        indices: indices === undefined ? null : Uint32Array.from(read(indices)),
        color: look.baseColorFactor, texture: texture ? pictures[texture.source] : null, matrix, points: mode === 0,
      });
    }
    for (const child of node.children || []) visit(child, matrix);
  };
  const roots = json.scenes?.[json.scene ?? 0]?.nodes || (json.nodes || []).map((_, index) => index);
  for (const root of roots) visit(root, IDENTITY);
  return parts;
}

/** A node's matrix from its translation, rotation (a quaternion) and scale. */
function placed({ translation: t = [0, 0, 0], rotation: [x, y, z, w] = [0, 0, 0, 1], scale: s = [1, 1, 1] }) {
  return [
    (1 - 2 * (y * y + z * z)) * s[0], 2 * (x * y + z * w) * s[0], 2 * (x * z - y * w) * s[0], 0,
    2 * (x * y - z * w) * s[1], (1 - 2 * (x * x + z * z)) * s[1], 2 * (y * z + x * w) * s[1], 0,
    2 * (x * z + y * w) * s[2], 2 * (y * z - x * w) * s[2], (1 - 2 * (x * x + y * y)) * s[2], 0,
    ...t, 1,
  ];
}

/** The product of two matrices of four rows, by columns. */
function multiply(a, b) {
  return Array.from({ length: 16 }, (_, k) => [0, 1, 2, 3].reduce((sum, i) => sum + a[i * 4 + (k % 4)] * b[(k >> 2) * 4 + i], 0));
}

/** A part with every corner of its own, moved to its place and with normals: faces' own where the file has none. */
export function settled(part) {
  const { positions, indices, matrix: m = IDENTITY } = part;
  const order = indices || Uint32Array.from({ length: positions.length / 3 }, (_, k) => k);
  const spread = (from, width) => from && Float32Array.from({ length: order.length * width }, (_, k) => from[order[Math.floor(k / width)] * width + (k % width)]);
  const places = spread(positions, 3);
  for (let k = 0; k < places.length; k += 3) {
    const [x, y, z] = places.subarray(k, k + 3);
    for (let i = 0; i < 3; i += 1) places[k + i] = m[i] * x + m[4 + i] * y + m[8 + i] * z + m[12 + i];
  }
  let normals = part.points ? null : spread(part.normals, 3);
  if (normals) {
    for (let k = 0; k < normals.length; k += 3) {
      const [x, y, z] = normals.subarray(k, k + 3);
      for (let i = 0; i < 3; i += 1) normals[k + i] = m[i] * x + m[4 + i] * y + m[8 + i] * z;
    }
  } else if (!part.points) {
    normals = new Float32Array(places.length);
    for (let k = 0; k + 8 < places.length; k += 9) {
      const [a, b, c] = [0, 3, 6].map((step) => places.subarray(k + step, k + step + 3));
      const [u, v] = [b.map((value, i) => value - a[i]), c.map((value, i) => value - a[i])];
      const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (let step = 0; step < 9; step += 1) normals[k + step] = normal[step % 3];
    }
  }
  return { ...part, positions: places, normals, colors: spread(part.colors, 3), uvs: part.texture ? spread(part.uvs, 2) : null };
}
