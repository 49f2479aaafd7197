// ioredis as a program uses it. Arguments: cluster or sentinel, the prefix of the keys, host:port... Each line of
// output tells what happened: "ack i", "read", "behind", "wrong ...", "error ...".
const Redis = require("ioredis");

const [mode, prefix, ...addrs] = process.argv.slice(2);
const nodes = addrs.map((a) => {
  const at = a.lastIndexOf(":");
  return { host: a.slice(0, at), port: Number(a.slice(at + 1)) };
});
const tell = (text) => console.log(text.replace(/\n/g, " "));

function open(role) {
  const client = mode === "cluster"
    ? new Redis.Cluster(nodes, { scaleReads: role })
    : new Redis({ sentinels: nodes, name: "redkeep", role });
  client.on("error", (e) => tell(`error ${e.message}`));
  return client;
}

const main = open("master");
const replica = open("slave");
const master = () => mode === "cluster" && main.nodes("master")[0]; // a connection, which is not used again once it broke

async function step(i) {
  const key = `${prefix}:${i}`, value = String(i);
  await main.set(key, value);
  tell(`ack ${i}`);
  const asked = master();
  let got = await main.get(key);
  // While its master is gone, Cluster asks any node, also replicas over connections that it made READONLY itself: such
  // a read may be behind, by Redis's rules as by ours. Where it had one master all the while, it asked that one. Whether
  // the key is lost is checked at the end, on every node.
  if (got === null && mode === "cluster" && (!asked || asked !== master())) tell("behind");
  else if (got !== value) tell(`wrong ${key} is ${got} after it was written`);
  if (i % 5 === 0) {
    got = await replica.get(key);
    tell(got === null || got === value ? "read" : `wrong ${key} is ${got} on a replica`);
  }
}

(async () => {
  for (let i = 1; ; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    await step(i).catch((e) => tell(`error ${e.name}: ${e.message}`));
  }
})();
