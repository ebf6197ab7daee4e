const packetBytes = 188;
const syncByte = 0x47;

/**
 * How many video frames begin in the MPEG transport stream packets of one RTP payload; undefined: it holds none such.
 * Encoders put one frame into one packet of the elementary stream (PES), whose beginning the headers show.
 */
export function videoFramesBegun(payload: Uint8Array): number | undefined {
  if (payload[0] !== syncByte) return undefined;
  let frames = 0;
  for (let at = 0; at + packetBytes <= payload.length; at += packetBytes) {
    if (payload[at] !== syncByte) break;
    if (beginsVideo(payload, at)) frames += 1;
  }
  return frames;
}

function beginsVideo(bytes: Uint8Array, at: number): boolean {
  const beginsUnit = ((bytes[at + 1] ?? 0) & 0x40) !== 0;
  const control = bytes[at + 3] ?? 0;
  if (!beginsUnit || (control & 0x10) === 0) return false;
  const adaptation = (control & 0x20) === 0 ? 0 : 1 + (bytes[at + 4] ?? 0);
  const pes = at + 4 + adaptation;
  if (pes + 4 > at + packetBytes) return false;
  const isPes = bytes[pes] === 0 && bytes[pes + 1] === 0 && bytes[pes + 2] === 1;
  return isPes && ((bytes[pes + 3] ?? 0) & 0xf0) === 0xe0;
}
