// A registry for npm with the packages of a folder; all others it has fetched from the registry that npm is set up with.
//
//   node tests/dist/npm-registry.mjs FOLDER    prints its URL; ends when its standard input does

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";

const folder = process.argv[2];
const real = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();

/** The package.json within a tarball. */
function manifest(tarball) {
  const words = ["-xzOf", path.join(folder, tarball), "package/package.json"];
  return JSON.parse(execFileSync("tar", words, { encoding: "utf8" }));
}

/** What a registry says of a package. */
function packument(tarball, origin) {
  const version = manifest(tarball);
  const content = readFileSync(path.join(folder, tarball));
  const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`;
  version.dist = { tarball: `${origin}/-/${tarball}`, integrity };
  return {
    name: version.name,
    "dist-tags": { latest: version.version },
    versions: { [version.version]: version },
  };
}

const tarballs = new Map(readdirSync(folder).map((tarball) => [manifest(tarball).name, tarball]));

const server = createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url, "http://registry").pathname.slice(1));
  if (name.startsWith("-/")) {
    response.end(readFileSync(path.join(folder, path.basename(name))));
  } else if (tarballs.has(name)) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(packument(tarballs.get(name), `http://${request.headers.host}`)));
  } else {
    response.writeHead(302, { location: new URL(request.url.slice(1), real).href }).end();
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit()).resume();
