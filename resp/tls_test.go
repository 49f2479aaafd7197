package resp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// selfSigned returns configurations of a server for 127.0.0.1 and of a client that trusts it.
func selfSigned(t *testing.T) (serverSide, clientSide *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	serverSide = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return serverSide, &tls.Config{RootCAs: pool}
}

// dialTLS connects and shakes hands.
func dialTLS(t *testing.T, addr string, cfg *tls.Config) *peer {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, conn)
}

// TestPlainAndTLSSideBySide: one server, two ports, one limit of clients.
func TestPlainAndTLSSideBySide(t *testing.T) {
	serverSide, clientSide := selfSigned(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, plain := start(t, Config{Handler: newScript(), MaxClients: 2})
	served := make(chan error, 1)
	go func() { served <- s.ServeTLS(ln, serverSide) }()
	one, two := dial(t, plain), dialTLS(t, ln.Addr().String(), clientSide)
	for _, p := range []*peer{one, two} {
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
	}
	dialTLS(t, ln.Addr().String(), clientSide).expectEnd("-ERR max number of clients reached\r\n")
	dial(t, plain).expectEnd("-ERR max number of clients reached\r\n")
	_ = two.Close()
	eventually(t, "the place is free", func() bool { return s.Stats().Current == 1 })
	three := dialTLS(t, ln.Addr().String(), clientSide)
	three.send("PING\r\n")
	three.expect("+PONG\r\n")
	s.stopListening()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestHalfHandshakesTakeNoPlace: neither that of a client, nor for long that of a handshake.
func TestHalfHandshakesTakeNoPlace(t *testing.T) {
	serverSide, clientSide := selfSigned(t)
	s, addr := startTLS(t, Config{Handler: newScript(), MaxClients: 1, MaxHandshakes: 3}, serverSide)
	for range 9 {
		dial(t, addr).send("\x16\x03\x01")
	}
	eventually(t, "the oldest six are cut", func() bool { return s.Stats().HandshakesCut == 6 })
	honest := dialTLS(t, addr, clientSide)
	honest.send("PING\r\n")
	honest.expect("+PONG\r\n")
	eventually(t, "two half handshakes and a client are left", func() bool { return s.Stats().Current == 3 })
	if st := s.Stats(); st.HandshakesCut != 7 || st.Handshakes != 1 {
		t.Errorf("%d handshakes were cut and %d completed, want 7 and 1", st.HandshakesCut, st.Handshakes)
	}
}

func TestDowngradeIsRefused(t *testing.T) {
	serverSide, clientSide := selfSigned(t)
	serverSide.MinVersion = tls.VersionTLS12
	s, addr := startTLS(t, Config{Handler: newScript()}, serverSide)
	clientSide.MinVersion, clientSide.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if conn, err := tls.Dial("tcp", addr, clientSide); err == nil {
		t.Errorf("version %x was agreed on", conn.ConnectionState().Version)
	}
	eventually(t, "the failure is counted", func() bool { return s.Stats().HandshakeFailures == 1 })
}

// TestPeerCertificateIsAVerifiedOne: a certificate that nobody has checked names nobody.
func TestPeerCertificateIsAVerifiedOne(t *testing.T) {
	serverSide, clientSide := selfSigned(t)
	clientSide.Certificates = serverSide.Certificates
	for _, c := range []struct {
		mode tls.ClientAuthType
		want bool
	}{{tls.RequestClientCert, false}, {tls.VerifyClientCertIfGiven, true}} {
		cfg := serverSide.Clone()
		cfg.ClientAuth, cfg.ClientCAs = c.mode, clientSide.RootCAs
		s, addr := startTLS(t, Config{Handler: newScript()}, cfg)
		p := dialTLS(t, addr, clientSide)
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
		if got := s.Find(1).PeerCertificate() != nil; got != c.want {
			t.Errorf("mode %v: certificate %v, want %v", c.mode, got, c.want)
		}
	}
}
