/**
 * Packets that wait. All of one line wait equally long, so the first in is the first out: a ring without sorting.
 * Pure: time comes in as microseconds from any start, packets are whatever the caller stores.
 */
export class DelayLine<Packet> {
  readonly #delayUs: number;
  readonly #bytesMax: number;
  #waiting: { readonly packet: Packet; readonly bytes: number; readonly dueUs: number }[] = [];
  #first = 0;
  #bytes = 0;

  constructor(delayUs: number, bytesMax: number) {
    this.#delayUs = delayUs;
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#waiting.length - this.#first;
  }

  /** False when the line is full and the packet is lost, as on a real wire's full queue. */
  push(packet: Packet, bytes: number, nowUs: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#waiting.push({ packet, bytes, dueUs: nowUs + this.#delayUs });
    this.#bytes += bytes;
    return true;
  }

  /** When the next packet is due; infinite when none waits. */
  nextDueUs(): number {
    return this.#waiting[this.#first]?.dueUs ?? Infinity;
  }

  /** The next packet that is due by now, if any. */
  shift(nowUs: number): Packet | undefined {
    const next = this.#waiting[this.#first];
    if (next === undefined || next.dueUs > nowUs) return undefined;
    this.#first += 1;
    this.#bytes -= next.bytes;
    // Taking off the front of a long array each time would copy it each time.
    if (this.#first > 1024 && this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return next.packet;
  }
}
