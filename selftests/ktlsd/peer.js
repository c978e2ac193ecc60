// SPDX-License-Identifier: GPL-2.0
// A TLS end by Node.js, which speaks as peer.go does.

"use strict";

const crypto = require("crypto");
const fs = require("fs");
const readline = require("readline");
const tls = require("tls");

const CHUNK = 65536;
const CIPHERS = {
	"1.2": {
		"aes-gcm-128": "ECDHE-ECDSA-AES128-GCM-SHA256",
		"aes-gcm-256": "ECDHE-ECDSA-AES256-GCM-SHA384",
		"chacha20-poly1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
		"aes-ccm-128": "ECDHE-ECDSA-AES128-CCM",
	},
	"1.3": {
		"aes-gcm-128": "TLS_AES_128_GCM_SHA256",
		"aes-gcm-256": "TLS_AES_256_GCM_SHA384",
		"chacha20-poly1305": "TLS_CHACHA20_POLY1305_SHA256",
		"aes-ccm-128": "TLS_AES_128_CCM_SHA256",
	},
};

function say(what) {
	process.stdout.write(JSON.stringify(what) + "\n");
}

// Reads and writes until both ends have ended, the client first.
function exchange(end, task, done) {
	const block = crypto.randomBytes(CHUNK);
	const sent = crypto.createHash("sha256");
	const received = crypto.createHash("sha256");
	const result = { port: end.localPort, left: task.size, bytes: 0 };
	let number = 0n, ended = false;

	// The last one to go may be told that there is nobody any more.
	function finish(error) {
		if (!done)
			return;
		result.sent = sent.digest("hex");
		result.received = received.digest("hex");
		if (error)
			result.error = String(error);
		done(result);
		done = null;
	}

	function write() {
		while (result.left) {
			const part = Buffer.from(block.subarray(
				0, Math.min(CHUNK, result.left)));
			if (part.length >= 8)
				part.writeBigUInt64BE(number);
			number++;
			sent.update(part);
			result.left -= part.length;
			if (!end.write(part)) {
				end.once("drain", write);
				return;
			}
		}
		if (!ended && (task.role === "client" || result.end)) {
			ended = true;
			end.end();
		}
	}

	end.setTimeout(60000, () => end.destroy(new Error("nothing moved")));
	end.on("data", (data) => {
		received.update(data);
		result.bytes += data.length;
	});
	end.on("end", () => {
		result.end = "ended";
		write();
	});
	end.on("error", (error) => {
		if (error.code === "ECONNRESET")
			result.end = result.end || "reset";
		finish(error);
	});
	end.on("close", () => finish());
	write();
}

function perform(task, done) {
	const options = {
		minVersion: "TLSv" + task.version,
		maxVersion: "TLSv" + task.version,
		ciphers: CIPHERS[task.version][task.cipher],
		allowHalfOpen: true,
		host: "127.0.0.1",
		port: task.port,
		servername: "localhost",
	};

	if (task.role === "client") {
		options.ca = fs.readFileSync(task.ca);
		const end = tls.connect(options, () => {
			end.removeAllListeners("error");
			exchange(end, task, done);
		});
		end.once("error", (error) => done({ error: String(error) }));
		return;
	}
	options.cert = options.key = fs.readFileSync(task.pem);
	const server = tls.createServer(options, (end) => {
		server.close();
		exchange(end, task, done);
	});
	server.on("tlsClientError", (error) => {
		server.close();
		done({ error: String(error) });
	});
	server.listen(options, () => say({ ready: true }));
}

const lines = [];
let busy = false;

function next() {
	if (busy || !lines.length)
		return;
	busy = true;
	perform(JSON.parse(lines.shift()), (result) => {
		say(result);
		busy = false;
		next();
	});
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
	lines.push(line);
	next();
});
