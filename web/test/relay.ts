/** A relay within this process, for one room: WebSockets that tests see into. */

type Data = string | ArrayBuffer;
type Side = "sender" | "receiver";

/** What a test does with what one side sends: gives what arrives, or `null` where nothing does. */
export type Between = (from: Side, data: Data) => Data | null;

/** The end of a line, as its other side sees it. */
interface Close {
  readonly code: number;
  readonly reason: string;
}

const CODE = "a7f3k2";

export class TestRelay {
  /** Each request, in order. */
  readonly requests: Record<string, unknown>[] = [];
  /** How each line was closed by its own side. */
  readonly closed: number[] = [];
  between: Between = (_, data) => data;
  private sides: Partial<Record<Side, TestSocket>> = {};

  /** Has the page's lines lead to this relay. */
  constructor() {
    TestSocket.relay = this;
    Object.assign(globalThis, { WebSocket: TestSocket });
  }

  /** Cuts the line of one side, as a network does. */
  cut(side: Side): void {
    this.sides[side]?.ends({ code: 1006, reason: "" });
    this.gone(this.sides[side]);
  }

  hear(socket: TestSocket, data: Data): void {
    const side = this.sideOf(socket);
    if (side === null && socket.isNew) return this.request(socket, JSON.parse(String(data)) as Record<string, unknown>);
    const passed = side && this.between(side, data);
    if (passed !== null) this.sides[side === "sender" ? "receiver" : "sender"]?.hears(passed);
  }

  left(socket: TestSocket, code: number): void {
    this.closed.push(code);
    this.gone(socket);
  }

  private request(socket: TestSocket, request: Record<string, unknown>): void {
    this.requests.push(request);
    socket.isNew = false;
    const side = request["type"] === "JOIN_ROOM" ? "receiver" : "sender";
    const type = { JOIN_ROOM: "ROOM_JOINED", CREATE_ROOM: "ROOM_CREATED", RESUME_ROOM: "ROOM_RESUMED" }[String(request["type"])];
    this.gone(this.sides[side]);
    this.sides[side] = socket;
    socket.hears(JSON.stringify({ type, room_id: CODE, expires_in: 1800, resume_token: "token" }));
    if (this.sides.sender && this.sides.receiver) this.sides.sender.hears(JSON.stringify({ type: "PEER_JOINED", peer_id: "conn_1" }));
  }

  private gone(socket: TestSocket | undefined): void {
    const side = socket && this.sideOf(socket);
    if (!side) return;
    delete this.sides[side];
    if (side === "receiver") this.sides.sender?.hears(JSON.stringify({ type: "PEER_DISCONNECTED", peer_id: "conn_1" }));
    else if (this.sides.receiver) {
      this.sides.receiver.ends({ code: 1013, reason: "sender_away" });
      delete this.sides.receiver;
    }
  }

  private sideOf(socket: TestSocket): Side | null {
    return socket === this.sides.sender ? "sender" : socket === this.sides.receiver ? "receiver" : null;
  }
}

/** What a page takes for a WebSocket. Everything arrives in order, each in a turn of its own. */
export class TestSocket {
  static readonly OPEN = 1;
  static relay: TestRelay;
  private readonly relay = TestSocket.relay;
  readyState = 0;
  /** Whether it has asked for nothing yet. */
  isNew = true;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: Data }) => void) | null = null;
  onclose: ((event: Close) => void) | null = null;

  constructor() {
    setImmediate(() => {
      if (this.readyState !== 0) return;
      this.readyState = TestSocket.OPEN;
      this.onopen?.();
    });
  }

  send(data: string | Uint8Array): void {
    const sent = typeof data === "string" ? data : data.slice().buffer;
    setImmediate(() => this.relay.hear(this, sent as Data));
  }

  close(code: number): void {
    if (this.readyState > TestSocket.OPEN) return;
    this.readyState = 3;
    setImmediate(() => this.relay.left(this, code));
  }

  hears(data: Data): void {
    setImmediate(() => this.onmessage?.({ data }));
  }

  ends(close: Close): void {
    this.readyState = 3;
    setImmediate(() => this.onclose?.(close));
  }
}
