// SPDX-License-Identifier: GPL-2.0
// A server in Node.js that answers, and holds its connections.
//
// usage: holder.js PORT PEM

const fs = require("fs");
const tls = require("tls");

const [port, pem] = process.argv.slice(2);
const both = fs.readFileSync(pem);

tls.createServer({ key: both, cert: both }, (end) => {
	end.on("data", () => end.write("ok\n"));
}).listen(Number(port), "127.0.0.1");
