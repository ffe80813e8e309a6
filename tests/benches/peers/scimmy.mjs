// scimmy-routers over a map in memory, with an index of user names: as little as a store can be.
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [address, port] = process.argv[2].split(":");
const users = new Map();
const names = new Map();

function found(id) {
  if (!users.has(id)) throw new SCIMMY.Types.Error(404, null, `there is no user ${id}`);
  return users.get(id);
}

SCIMMY.Resources.declare(SCIMMY.Resources.User)
  .ingress((resource, instance) => {
    const id = resource.id ?? randomUUID();
    const name = instance.userName.toLowerCase();
    if ((names.get(name) ?? id) !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
    const before = users.get(id);
    if (before) names.delete(before.userName.toLowerCase());
    const now = new Date();
    const user = { ...instance, id, meta: { created: before?.meta.created ?? now, lastModified: now } };
    users.set(id, user);
    names.set(name, id);
    return user;
  })
  .egress((resource) => (resource.id ? found(resource.id) : [...users.values()]))
  .degress((resource) => {
    names.delete(found(resource.id).userName.toLowerCase());
    users.delete(resource.id);
  });

const app = express();
app.use("/", new SCIMMYRouters({ type: "bearer", handler: () => "the benchmark" }));
app.listen(Number(port), address);
