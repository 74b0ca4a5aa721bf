import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/ports/executor.ts';
import { Secret } from '../../../src/ports/secret.ts';
import { commandLines, followJob, followUntil, makeJob, runJob } from '../../support/jobs.ts';
import type { ExecutorSubject } from './executor.ts';

async function listen(
  where: { host: string; port: number } | { path: string },
  answer = 'hello from the host\n',
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(answer);
  });
  server.listen(where);
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Says `reached` with what the server sent, or `refused`. */
export function knock(host: string, port: number): string {
  const script = `const s = require('net').connect(${port}, '${host}'); s.setTimeout(1500, () => s.destroy(new Error('timeout')));
    s.on('data', (d) => console.log('reached', String(d).trim())); s.on('error', (e) => console.log('refused', e.code ?? e.message));`;
  return `node -e "${script}"`;
}

/** What every adapter keeps that isolates (I8). */
export function testIsolation(name: string, make: () => Promise<ExecutorSubject>): void {
  describe(`${name}: isolation`, () => {
    let subject: ExecutorSubject;
    let executor: Executor;
    let server: Server;

    beforeAll(async () => {
      subject = await make();
      executor = await subject.open();
      server = await listen({ host: '127.0.0.1', port: 0 });
    });
    afterAll(async () => {
      server.close();
      await subject.close();
    });

    it('gives a job its own variables and nothing of the worker’s', async () => {
      Object.assign(process.env, { LOAM_API_URL: 'x', AWS_SECRET_ACCESS_KEY: 'x', SSH_AUTH_SOCK: 'x' });

      const { text } = await runJob(executor, 'env | sed "s/=.*//" | sort', {
        env: { MINE: '1', MULTI: 'a\nb=c' },
        secrets: { TOKEN: new Secret('t0psecret') },
      });

      const allowed = [
        'CI',
        'HOME',
        'LANG',
        'LOAM_OUT',
        'MINE',
        'MULTI',
        'PATH',
        'PWD',
        'SHLVL', // some shells count themselves
        'SSL_CERT_FILE',
        'TMPDIR',
        'TOKEN',
        'b',
      ];
      expect(
        text
          .trim()
          .split('\n')
          .filter((line) => !allowed.includes(line)),
      ).toEqual([]);
      expect(text).toContain('TOKEN');
    });

    it('hands values over as they are', async () => {
      const odd = ' a "quoted" $HOME `id` \\ é\n\nnext=line ';

      const { text } = await runJob(executor, 'printf "%s|%s" "$ODD" "$TOKEN"', {
        env: { ODD: odd },
        secrets: { TOKEN: new Secret(odd) },
      });

      expect(text).toBe(`${odd}|${odd}`);
    });

    it('leaves a secret on no command line and in no file (I7)', async () => {
      const job = makeJob('echo up; sleep 30; : "$TOKEN"', { secrets: { TOKEN: new Secret('v3ry-s3cret-value') } });
      await executor.start(job);
      await followUntil(executor, job.key, 'up\n');

      expect(commandLines()).not.toContain('v3ry-s3cret-value');
      expect(filesBelow(subject.folder).filter((file) => readFileSync(file).includes('v3ry-s3cret-value'))).toEqual([]);
      await executor.remove(job.key);
    });

    it('shows neither Loam’s data nor other jobs', async () => {
      writeFileSync(path.join(subject.folder, 'key'), 'master key');
      const other = makeJob('echo $$ > me; echo up; sleep 30');
      await executor.start(other);
      await followUntil(executor, other.key, 'up\n');

      const { text } = await runJob(
        executor,
        `cat '${subject.folder}/key'; ls '${subject.folder}'; ls -d /proc/[0-9]* | wc -l; ls /root /home; cat /etc/shadow; cat /proc/1/environ`,
      );
      await executor.remove(other.key);

      expect(text).not.toMatch(/master key|^jobs$|sleep 30|root:\*/m);
      expect(Number(/^\d+$/m.exec(text)?.[0])).toBeLessThan(10);
    });

    it('lets a job change nothing of the system', async () => {
      const targets = [
        '/proc/sys/kernel/hostname',
        '/proc/sys/kernel/core_pattern',
        '/proc/sysrq-trigger',
        '/usr/new',
        '/etc/new',
        '/new',
        '/run/new',
      ];

      const { text } = await runJob(
        executor,
        targets.map((file) => `(echo x > ${file}) 2>/dev/null && echo wrote ${file}`).join('; '),
      );

      expect(text).toBe('');
    });

    it('gives a job no right: no capability, no new one, no root', async () => {
      const { text } = await runJob(
        executor,
        'grep -E "^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs)" /proc/self/status; id -u; mount -t tmpfs x /mnt 2>&1',
      );

      expect(text).toMatch(/CapPrm:\s+0+\nCapEff:\s+0+\nCapBnd:\s+0+\nCapAmb:\s+0+\nNoNewPrivs:\s+1\n/);
      expect(text).not.toMatch(/^0$/m);
    });

    it('gives a job folders to write to, a name, and no terminal', async () => {
      const { text } = await runJob(
        executor,
        'touch /tmp/a /dev/shm/a ~/a "$TMPDIR/b" "$LOAM_OUT/c" ./d && whoami && hostname && cat - | wc -c; tty; node -p "os.userInfo().username"',
      );

      expect(text).toBe('job\njob\n0\nnot a tty\njob\n');
    });

    it('limits the processes of one job, whatever others run', async () => {
      const limit = '(ulimit -u 2>/dev/null || ulimit -p)';
      const raise = '(ulimit -u 9999 || ulimit -p 9999) >/dev/null 2>&1 && echo raised';
      const lower = 'ulimit -u 20 2>/dev/null || ulimit -p 20';
      const other = makeJob('for i in $(seq 40); do sleep 30 & done; echo up; wait');
      await executor.start(other);
      await followUntil(executor, other.key, 'up\n');

      const { text } = await runJob(
        executor,
        `echo limit $${limit}; ${raise}; ${lower}; sh -c 'for i in $(seq 10); do sleep 0.01 & done; wait; echo ten'; sh -c 'for i in $(seq 40); do sleep 0.5 & done; echo forty'`,
      );
      await executor.remove(other.key);

      expect(text).toMatch(/^limit 4096\nten\n/);
      expect(text).toMatch(/[Ff]ork/);
      expect(text).not.toMatch(/raised|forty/);
    });

    it('has with the network "none" a loopback of its own and nothing else', async () => {
      const own = `node -e "require('net').createServer((s) => s.end('own')).listen(8123, '127.0.0.1', function () { require('net').connect(8123, '127.0.0.1').on('data', (d) => { console.log(String(d)); process.exit() }) })"`;

      const { text } = await runJob(
        executor,
        `${knock('127.0.0.1', portOf(server))}; ${own}; grep -c : /proc/net/dev`,
        { network: 'none' },
      );

      expect(text).toBe('refused ECONNREFUSED\nown\n1\n');
    });

    it('reaches a socket that was given to it', async () => {
      const socket = path.join(subject.folder, 's.sock');
      const front = await listen({ path: socket }, 'hello from the front\n');

      const { text, end } = await runJob(executor, `${knock('127.0.0.1', 8124)}; exit 4`, {
        sockets: [{ port: 8124, path: socket }],
      });
      front.close();

      expect([text, end]).toEqual(['reached hello from the front\n', { type: 'exited', exitCode: 4 }]);
    });

    it('runs a script as it stands: comments, here-documents, many lines', async () => {
      const { text } = await runJob(
        executor,
        '# a comment\ncat <<END\n$((1 + 2)) "x"\nEND\nfor i in 1 2\ndo echo $i\ndone # end\nset -- a; echo "${LOAM_CMD-none} $1 $0"',
      );

      expect(text).toBe('3 "x"\n1\n2\nnone a sh\n');
    });
  });
}

/** What an adapter keeps whose `egress` is a network of its own, with a name server at this address. */
export function testEgress(name: string, make: () => Promise<ExecutorSubject>, nameServer: string): void {
  describe(`${name}: egress`, () => {
    let subject: ExecutorSubject;
    let executor: Executor;

    beforeAll(async () => {
      subject = await make();
      executor = await subject.open();
    });
    afterAll(() => subject.close());

    it('does not reach the loopback of the host, by whatever name', async () => {
      const server = await listen({ host: '127.0.0.1', port: 0 });
      const hosts = ['127.0.0.1', 'localhost', '::1', '10.0.2.2', '10.0.2.3', '169.254.169.254'];

      const { text } = await runJob(executor, hosts.map((host) => knock(host, portOf(server))).join('\n'), {
        network: 'egress',
        local: false,
      });
      server.close();

      expect(text).not.toContain('reached');
      expect(text.trim().split('\n')).toHaveLength(hosts.length);
    });

    it('reaches an address of the host that others reach too', async () => {
      const address = Object.values(networkInterfaces())
        .flat()
        .find((each) => each?.family === 'IPv4' && !each.internal)?.address;
      if (address === undefined)
        throw new Error('this machine has no address but loopback: egress cannot be tested here');
      const server = await listen({ host: address, port: 0 });

      const { text } = await runJob(executor, knock(address, portOf(server)), { network: 'egress', local: false });
      server.close();

      expect(text).toBe('reached hello from the host\n');
    });

    it('asks the name server of the host', async () => {
      const script = `new (require('dns').Resolver)({ timeout: 2000, tries: 1 }).resolve4('loam.invalid', (e) => console.log(e.code))`;

      const { text } = await runJob(executor, `cat /etc/resolv.conf; node -e "${script}"`, {
        network: 'egress',
        local: false,
      });

      expect(text).toContain(`nameserver ${nameServer}\n`);
      expect(text).toMatch(/\nE[A-Z]+\n$/);
    });

    it('gives each job a network of its own, also several at once', async () => {
      const script = `node -e "require('net').createServer().listen(8125, '127.0.0.1', () => setTimeout(() => { console.log('mine'); process.exit() }, 300)).on('error', (e) => { console.log(e.code); process.exit(1) })"`;

      const jobs = await Promise.all(
        [1, 2, 3].map(() => runJob(executor, script, { network: 'egress', local: false })),
      );

      expect(jobs.map(({ text }) => text)).toEqual(['mine\n', 'mine\n', 'mine\n']);
    });

    it('reaches a socket that was given to it', async () => {
      const socket = path.join(subject.folder, 'e.sock');
      const front = await listen({ path: socket }, 'hello from the front\n');
      const job = makeJob(knock('127.0.0.1', 8126), { network: 'egress', sockets: [{ port: 8126, path: socket }] });
      await executor.start(job);

      const { text } = await followJob(executor, job.key);
      await executor.remove(job.key);
      front.close();

      expect(text).toBe('reached hello from the front\n');
    });
  });
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
}
