/**
 * What part of a sheet is seen, and how large: `screen = sheet * scale + offset`. Drags, the wheel and keys
 * move it; whoever draws listens. It glides to a new place, unless the reader wants no motion.
 */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const SCALE = { min: 0.04, max: 2.5 };
const GLIDE_MS = 320;
const MARGIN_PX = 16;

export class Viewport {
  scale = 1;
  x = 0;
  y = 0;
  /** Of the window through which the sheet is seen. */
  width = 800;
  height = 500;
  readonly #listeners = new Set<() => void>();
  #gliding = 0;

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.#say();
  }

  pan(dx: number, dy: number): void {
    this.#stop();
    this.x += dx;
    this.y += dy;
    this.#say();
  }

  /** About a point of the window, which stays where it is. */
  zoom(factor: number, atX = this.width / 2, atY = this.height / 2): void {
    this.#stop();
    const scale = Math.min(SCALE.max, Math.max(SCALE.min, this.scale * factor));
    this.x = atX - ((atX - this.x) * scale) / this.scale;
    this.y = atY - ((atY - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#say();
  }

  /** Shows a part of the sheet, as large as it goes, and in the middle. */
  show(frame: Frame, scaleMax: number, isGliding: boolean): void {
    const wide = (this.width - 2 * MARGIN_PX) / Math.max(1, frame.width);
    const high = (this.height - 2 * MARGIN_PX) / Math.max(1, frame.height);
    const scale = Math.max(SCALE.min, Math.min(wide, high, scaleMax));
    const x = this.width / 2 - (frame.x + frame.width / 2) * scale;
    const y = this.height / 2 - (frame.y + frame.height / 2) * scale;
    if (isGliding && !matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.#glide(scale, x, y);
    } else {
      this.#stop();
      [this.scale, this.x, this.y] = [scale, x, y];
      this.#say();
    }
  }

  toSheet(x: number, y: number): { readonly x: number; readonly y: number } {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  /** The part of the sheet that is seen. */
  seen(): Frame {
    const { x, y } = this.toSheet(0, 0);
    return { x, y, width: this.width / this.scale, height: this.height / this.scale };
  }

  #glide(scale: number, x: number, y: number): void {
    this.#stop();
    const from = { scale: this.scale, x: this.x, y: this.y };
    const began = performance.now();
    const step = (): void => {
      const share = Math.min(1, (performance.now() - began) / GLIDE_MS);
      const eased = 1 - (1 - share) ** 3;
      this.scale = from.scale + (scale - from.scale) * eased;
      this.x = from.x + (x - from.x) * eased;
      this.y = from.y + (y - from.y) * eased;
      this.#say();
      this.#gliding = share < 1 ? requestAnimationFrame(step) : 0;
    };
    this.#gliding = requestAnimationFrame(step);
  }

  #stop(): void {
    cancelAnimationFrame(this.#gliding);
    this.#gliding = 0;
  }

  #say(): void {
    for (const listener of this.#listeners) listener();
  }
}
