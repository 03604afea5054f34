/**
 * The app of the tests as a process of its own, under whichever runtime runs this file:
 * `serve-app.ts ADDRESSES [WEB-CONFIG-FILE]`. Prints its addresses as JSON; stops when its standard input ends.
 */
import { listen } from "../../src/web/server.ts";
import { testApp } from "./support.ts";

const [addresses = "", configFile] = process.argv.slice(2);
const app = testApp();
const server = await listen(
  app,
  { ...app.settings.web, configFile, listenAddresses: addresses.split(",") },
  app.log,
);
process.stdout.write(`${JSON.stringify(server.addresses)}\n`);
process.stdin.resume().once("end", async () => {
  await server.stop(1000);
  process.exit();
});
