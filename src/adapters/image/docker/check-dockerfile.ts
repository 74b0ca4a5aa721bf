import { DockerfileParser } from 'dockerfile-ast';
import type { Instruction } from 'dockerfile-ast';

/**
 * Why a Dockerfile is not built. Its steps run in containers, with the network that the task asks for; but a remote ADD is fetched by the engine itself, in this
 * machine's own network, where it would reach what listens on the loopback (I8), and a foreign frontend could do the same.
 */
export function whyRefused(text: string): string | undefined {
  const dockerfile = DockerfileParser.parse(text);
  const syntax = dockerfile.getDirectives().find((one) => one.getName().toLowerCase() === 'syntax');
  const frontend = syntax?.getValue();
  if (frontend !== undefined && !/^(docker\.io\/)?docker\/dockerfile(:|@|$)/.test(frontend)) {
    return `the frontend ${frontend.slice(0, 100)} is not allowed: use docker/dockerfile, or leave the syntax line out`;
  }
  const instructions = [...dockerfile.getInstructions(), ...dockerfile.getOnbuildTriggers()];
  return instructions.map(whyRemote).find((reason) => reason !== undefined);
}

function whyRemote(instruction: Instruction): string | undefined {
  if (instruction.getKeyword() !== 'ADD') return undefined;
  const sources = instruction.getArguments().slice(0, -1).map(String);
  // A variable may hold an address; in the JSON form the first source follows a bracket.
  const remote = sources.find((source) => /^[["']*(\w+:\/\/|\w+@|github\.com\/|\$)/i.test(source));
  if (remote === undefined) return undefined;
  const line = instruction.getRange().start.line + 1;
  return `line ${line}: ADD ${remote.slice(0, 100)} would be fetched by the engine in this machine's own network: fetch it in a RUN step`;
}
