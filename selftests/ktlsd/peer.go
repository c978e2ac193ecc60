// SPDX-License-Identifier: GPL-2.0

// A TLS end by crypto/tls. It does what a line of JSON on its standard input says,
// and answers with a line: a client with what came of its connection, a server with
// {"ready": true} before that, too.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const chunk = 65536
const patience = 60 * time.Second

type task struct {
	Role    string
	Port    int
	Version string
	Cipher  string
	Size    int64
	Pem     string
	Ca      string
}

type result struct {
	Port     int    `json:"port"`
	Sent     string `json:"sent"`
	Left     int64  `json:"left"`
	Received string `json:"received"`
	Bytes    int64  `json:"bytes"`
	End      string `json:"end"`
	Error    string `json:"error,omitempty"`
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// Those of TLS 1.3 cannot be chosen here: the other end has just the one.
var ciphers = map[string]uint16{
	"aes-gcm-128":       tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"aes-gcm-256":       tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"chacha20-poly1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

func configure(t task) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:   versions[t.Version],
		MaxVersion:   versions[t.Version],
		CipherSuites: []uint16{ciphers[t.Cipher]},
		ServerName:   "localhost",
	}
	if t.Role == "server" {
		pair, err := tls.LoadX509KeyPair(t.Pem, t.Pem)
		config.Certificates = []tls.Certificate{pair}
		return config, err
	}
	pem, err := os.ReadFile(t.Ca)
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(pem)
	return config, err
}

func connect(t task, config *tls.Config, say *json.Encoder) (*tls.Conn, error) {
	address := fmt.Sprintf("127.0.0.1:%d", t.Port)
	if t.Role == "client" {
		return tls.Dial("tcp", address, config)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	say.Encode(map[string]bool{"ready": true})
	conn, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(conn, config), nil
}

// All of it by chance, and each chunk with a number.
func send(conn *tls.Conn, r *result) error {
	block := make([]byte, chunk)
	rand.Read(block)
	hash := sha256.New()
	for number := uint64(0); r.Left > 0; number++ {
		binary.BigEndian.PutUint64(block, number)
		part := block
		if r.Left < chunk {
			part = block[:r.Left]
		}
		if _, err := conn.Write(part); err != nil {
			return err
		}
		hash.Write(part)
		r.Left -= int64(len(part))
	}
	r.Sent = hex.EncodeToString(hash.Sum(nil))
	return nil
}

func receive(conn *tls.Conn, r *result) error {
	hash := sha256.New()
	n, err := io.CopyBuffer(hash, struct{ io.Reader }{conn}, make([]byte, chunk))
	r.Bytes = n
	r.Received = hex.EncodeToString(hash.Sum(nil))
	switch {
	case err == nil:
		r.End = "ended"
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.End = "cut off"
	case errors.Is(err, syscall.ECONNRESET):
		r.End = "reset"
	default:
		return err
	}
	return nil
}

func perform(t task, say *json.Encoder) result {
	r := result{Left: t.Size}
	config, err := configure(t)
	if err == nil {
		err = exchange(t, config, say, &r)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func exchange(t task, config *tls.Config, say *json.Encoder, r *result) error {
	conn, err := connect(t, config, say)
	if err != nil {
		return err
	}
	defer conn.NetConn().Close()
	r.Port = conn.LocalAddr().(*net.TCPAddr).Port
	conn.SetDeadline(time.Now().Add(10 * patience))
	if err := conn.Handshake(); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- receive(conn, r) }()
	if err := send(conn, r); err != nil {
		return err
	}
	// The client is the first to end.
	if t.Role == "client" {
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		return <-received
	}
	if err := <-received; err != nil {
		return err
	}
	return conn.CloseWrite()
}

func main() {
	say := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var t task
		if err := json.NewDecoder(bytes.NewReader(lines.Bytes())).Decode(&t); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		say.Encode(perform(t, say))
	}
}
