package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// greeting is what stdout says once: where the node can be reached and how.
func (n *node) greeting() string {
	s, program := &n.settings, os.Args[0]
	var b strings.Builder
	fmt.Fprintf(&b, "redkeep %s, node %s: Ready to accept connections on %s (peers %s", version, s.name,
		n.clientPorts(), s.peerAddr)
	if n.httpPort != nil {
		fmt.Fprintf(&b, ", http %s", n.httpPort.Addr())
	}
	fmt.Fprintf(&b, "), data in %s\n\nTry it from another terminal:\n", s.dataDir)
	host, port, _ := net.SplitHostPort(dialable(n.mainPort().Addr().String(), ""))
	cli, own := n.greetingFlags()
	fmt.Fprintf(&b, "  redis-cli -h %s -p %s%s SET foo \"Hello World!\"\n", host, port, cli)
	fmt.Fprintf(&b, "  %s --endpoints %s%s get foo\n", program, net.JoinHostPort(host, port), own)
	if n.httpPort != nil {
		scheme, flag := "http", ""
		if s.tls.http {
			scheme, flag = "https", own
		}
		fmt.Fprintf(&b, "  curl%s \"%s://%s/readyz?verbose\"\n", flag, scheme,
			dialable(n.httpPort.Addr().String(), ""))
	}
	b.WriteString("Ctrl-C stops the node; the data stays.\n")
	return b.String()
}

func (n *node) clientPorts() string {
	switch {
	case n.tlsPort == nil:
		return n.clientPort.Addr().String()
	case n.clientPort == nil:
		return n.tlsPort.Addr().String() + ", TLS only"
	}
	return n.clientPort.Addr().String() + ", with TLS " + n.tlsPort.Addr().String()
}

// greetingFlags are the flags that redis-cli and redkeep need for the port that the greeting names.
func (n *node) greetingFlags() (cli, own string) {
	if n.clientPort != nil {
		return "", ""
	}
	ca := "CA.pem"
	if n.settings.tls.client.auto {
		ca = n.trust.autoClient.Files().CA
	}
	own = " --cacert " + ca
	if n.settings.tls.client.auth == authRequire {
		own += " --cert CERT.pem --key KEY.pem"
	}
	return " --tls" + own, own
}
