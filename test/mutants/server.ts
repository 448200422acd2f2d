import { open } from 'node:fs/promises';
import path from 'node:path';
import { Client } from 'pg';
import { startEmbedded } from '../support/postgres.ts';

type Embedded = Awaited<ReturnType<typeof startEmbedded>>;

/**
 * The one PostgreSQL of a run. Each lane has a user of its own, by which its lines in the log of the
 * server are told from those of the others.
 */
export class Server {
  private readonly embedded: Embedded;
  private readonly log: string;
  private readonly admin: Client;

  private constructor(embedded: Embedded, admin: Client) {
    this.embedded = embedded;
    this.log = path.join(embedded.home, 'postgres.log');
    this.admin = admin;
  }

  static async open(): Promise<Server> {
    const embedded = await startEmbedded({ log_line_prefix: '%e %u ' });
    const admin = new Client({ connectionString: embedded.url, application_name: 'mutants' });
    await admin.connect();
    return new Server(embedded, admin);
  }

  /** The address for a lane, whose user this makes. */
  async addLane(user: string): Promise<string> {
    const password = new URL(this.embedded.url).password;
    await this.admin.query(`create role ${user} login superuser password '${password}'`);
    const lane = new URL(this.embedded.url);
    lane.username = user;
    return lane.href;
  }

  /** Where the log ends now. */
  async logEnd(): Promise<number> {
    const file = await open(this.log);
    try {
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  /**
   * The codes of class 42 that a lane was answered since: statements that PostgreSQL did not
   * understand. A mutant of a statement must be one that runs, else its death proves nothing.
   */
  async misunderstoodSince(logEnd: number, user: string): Promise<ReadonlySet<string>> {
    const file = await open(this.log);
    try {
      const size = (await file.stat()).size - logEnd;
      const { buffer } = await file.read(Buffer.alloc(size), 0, size, logEnd);
      const lines = buffer.toString('utf8').split('\n');
      const theirs = lines.filter(
        (line) => line.startsWith('42') && line.slice(6).startsWith(user),
      );
      return new Set(theirs.map((line) => line.slice(0, 5)));
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    await this.admin.end();
    await this.embedded.stop();
  }
}
