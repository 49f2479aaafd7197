package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/certs"
	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/resp"
)

// trust is the node's certificates and what depends on them: two sets, one for clients (and the HTTP port),
// one for other members. A set is nil when its port is plain.
//
// When a set changes, connections that are open go on, whatever they were opened with; only those whose
// certificate is on the new revocation list end. etcd lets these go on until they end by themselves.
type trust struct {
	log          *slog.Logger
	settings     *settings
	client, peer *certs.Store
	autoClient   certs.Auto

	// Own synchronisation.
	members  atomic.Pointer[cluster.Node] // nil until the log is open
	server   atomic.Pointer[resp.Server]
	refused  atomic.Int64 // peers
	accepted atomic.Int64

	mu struct {
		sync.Mutex
		peers map[*peerConn]struct{}
	}
}

// autoPeerName is in every certificate of --peer-auto-tls. Who could make one knew the secret.
const autoPeerName = "redkeep-peer"

// openTrust reads or makes the certificates.
func (n *node) openTrust() (err error) {
	t := &n.trust
	t.log, t.settings = n.log, &n.settings
	t.mu.peers = map[*peerConn]struct{}{}
	if t.settings.tls.client.given() {
		if t.client, err = t.openClient(n.names()); err != nil {
			return err
		}
	}
	if t.settings.tls.peer.given() {
		t.peer, err = t.openPeer()
	}
	return err
}

// names is what clients may call this node.
func (n *node) names() []string {
	s := &n.settings
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range []string{s.advertiseClient, s.tls.addr, s.clientAddr, s.httpAddr, s.advertisePeer} {
		hosts = append(hosts, hostOf(addr))
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(s.tls.addr); err == nil && isUnspecified(host) {
		hosts = append(hosts, machineAddrs()...)
	}
	slices.Sort(hosts)
	return slices.DeleteFunc(slices.Compact(hosts), func(h string) bool { return h == "" })
}

func machineAddrs() (out []string) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			out = append(out, ip.IP.String())
		}
	}
	return out
}

func (t *trust) openClient(names []string) (*certs.Store, error) {
	c := certs.Config{Use: "client", Files: t.settings.tls.client.files, Logger: t.log, OnChange: t.cutClients}
	if t.settings.tls.client.auto {
		secret, err := t.secret()
		if err != nil {
			return nil, err
		}
		t.autoClient = certs.Auto{
			Dir: filepath.Join(t.settings.dataDir, "tls", "client"), Purpose: "client", Secret: secret,
			Request: certs.Request{CommonName: t.settings.name, Hosts: names, Server: true},
		}
		ca, crl := c.Files.CA, c.Files.CRL // of those who connect; the certificate made here says who we are
		c.Files = t.autoClient.Files()
		c.Files.CA, c.Files.CRL = ca, crl
		if c.Renew, err = t.autoClient.NewRenewal(); err != nil {
			return nil, err
		}
	}
	return certs.Open(c)
}

func (t *trust) openPeer() (*certs.Store, error) {
	c := certs.Config{Use: "peer", Files: t.settings.tls.peer.files, Own: true, Check: t.checkOwn, Logger: t.log,
		OnChange: t.cutPeers}
	if t.settings.tls.peer.auto {
		secret, err := t.secret()
		if err != nil {
			return nil, err
		}
		auto := certs.Auto{
			Dir: filepath.Join(t.settings.dataDir, "tls", "peer"), Purpose: "peer", Secret: secret,
			Request: certs.Request{CommonName: t.settings.name, Hosts: []string{autoPeerName}, Server: true,
				Client: true},
		}
		c.Files = auto.Files()
		if c.Renew, err = auto.NewRenewal(); err != nil {
			return nil, err
		}
	}
	return certs.Open(c)
}

// secret reads what all members share; nil if they share nothing. A node that is alone makes it.
func (t *trust) secret() ([]byte, error) {
	path := t.settings.tls.peerSecret
	if path == "" && !t.settings.tls.peer.auto {
		return nil, nil
	}
	if path == "" {
		path = filepath.Join(t.settings.dataDir, "tls", "peer-secret")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("--peer-auto-tls: %w", err)
		}
		err := certs.CreateFile(path, []byte(certs.NewSecret()+"\n"), 0o600)
		if err == nil {
			t.log.Info("made a secret for members that will join; give them a copy", "file", path)
		} else if !errors.Is(err, certs.ErrExists) {
			return nil, fmt.Errorf("--peer-auto-tls: %w", err)
		}
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
		t.log.Warn("the peer secret can be read by everybody on this machine; chmod 600 it", "file", path)
	}
	secret, err := certs.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("--peer-secret-file: %w", err)
	}
	return secret, nil
}

// allow decides who is a member, of those whose certificate is good: see --peer-tls-allowed-name.
func (t *trust) allow() func(*x509.Certificate, string) error {
	switch {
	case t.settings.tls.peer.auto:
		return certs.Named([]string{autoPeerName})
	case len(t.settings.tls.peerNames) > 0:
		return certs.Named(t.settings.tls.peerNames)
	}
	return certs.Hosted(t.memberHosts)
}

// memberHosts are the hosts of the members' peer addresses, as far as they are known.
func (t *trust) memberHosts() []string {
	hosts := []string{hostOf(t.settings.advertisePeer)}
	for _, p := range t.settings.initialCluster {
		hosts = append(hosts, hostOf(p.Addr))
	}
	if raft := t.members.Load(); raft != nil {
		for _, m := range raft.Members() {
			hosts = append(hosts, hostOf(m.Addr))
		}
	}
	return slices.DeleteFunc(hosts, func(h string) bool { return h == "" })
}

// checkOwn refuses a certificate that the other members would refuse.
func (t *trust) checkOwn(leaf *x509.Certificate) error {
	own := hostOf(cmp.Or(t.settings.advertisePeer, t.settings.peerAddr))
	if own == "" {
		return nil
	}
	return t.allow()(leaf, own)
}

// peerRules is what members demand of each other. A node also talks to itself when it is alone.
func (t *trust) peerRules() certs.Rules {
	allow := t.allow()
	return certs.Rules{
		MinVersion: t.settings.tls.minVersion, CipherSuites: t.settings.tls.suites, ClientAuth: certs.AuthRequire,
		Allow: func(leaf *x509.Certificate, host string) error {
			if bytes.Equal(leaf.Raw, t.peer.Leaf().Raw) {
				return nil
			}
			return allow(leaf, host)
		},
	}
}

// clientPort is the configuration of --tls-addr and, with protocols, of the HTTP port.
func (t *trust) clientPort(protocols []string) *tls.Config {
	return t.client.Server(certs.Rules{
		MinVersion: t.settings.tls.minVersion, CipherSuites: t.settings.tls.suites,
		ClientAuth: clientAuths[t.settings.tls.client.auth], NextProtos: protocols,
	})
}

// secureHTTP bounds the connections of the HTTP port and puts TLS around it if it is to have it. HTTP/2 is
// left out: nobody scrapes a page so often, and it has more ways to be attacked.
func (t *trust) secureHTTP(ln net.Listener) net.Listener {
	ln = &limitedListener{Listener: ln, most: maxHTTPConns}
	if !t.settings.tls.http {
		return ln
	}
	return tls.NewListener(ln, t.clientPort([]string{"http/1.1"}))
}

// checked refuses requests on connections whose certificate was revoked after their handshake.
func (t *trust) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && t.client.Revoked(r.TLS.PeerCertificates[0]) != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, "the certificate has been revoked", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reloadCertificates looks at the files at once.
func (n *node) reloadCertificates() {
	n.log.Info("hang-up signal: looking at the certificates")
	for _, s := range n.trust.stores() {
		s.Reload()
	}
}

func (t *trust) stores() []*certs.Store {
	return slices.DeleteFunc([]*certs.Store{t.client, t.peer}, func(s *certs.Store) bool { return s == nil })
}

// troubles is what CLUSTER.STATUS tells about certificates.
func (t *trust) troubles() (out []string) {
	for _, s := range t.stores() {
		for _, text := range s.Status().Troubles {
			out = append(out, s.Status().Use+" certificates: "+text)
		}
	}
	return out
}

func (t *trust) close() {
	for _, s := range t.stores() {
		s.Close()
	}
}

// cutClients ends the connections of clients whose certificate has been revoked.
func (t *trust) cutClients() {
	server := t.server.Load()
	if server == nil {
		return
	}
	server.Conns(func(c *resp.Conn) bool {
		leaf := c.PeerCertificate()
		if leaf == nil {
			return true
		}
		if err := t.client.Revoked(leaf); err != nil {
			t.log.Warn("client cut", "client", c.RemoteAddr(), "reason", err)
			c.Kill()
		}
		return true
	})
}
