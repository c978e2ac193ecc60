// SPDX-License-Identifier: GPL-2.0
// A server and a client in Node.js that hold on.
//
// usage: holder.js serve PORT PEM
//        holder.js connect PORT

const fs = require("fs");
const tls = require("tls");

const [what, port, pem] = process.argv.slice(2);

if (what === "serve") {
	const both = fs.readFileSync(pem);

	tls.createServer({ key: both, cert: both }, (end) => {
		end.on("data", () => end.write("ok\n"));
	}).listen(Number(port), "127.0.0.1");
} else {
	const end = tls.connect(
		{ port: Number(port), host: "127.0.0.1", rejectUnauthorized: false },
		() => end.write("GET / HTTP/1.1\r\n\r\n"));

	end.on("data", () => {});
}
