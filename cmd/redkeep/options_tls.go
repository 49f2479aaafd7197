package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"github.com/redkeep/redkeep/certs"
	"github.com/redkeep/redkeep/commands"
)

// tlsSettings are the settings of the table below.
type tlsSettings struct {
	addr       string
	http       bool
	client     certSettings
	peer       certSettings
	minVersion uint16
	suites     []uint16
	peerNames  []string
	peerSecret string // file
}

// certSettings say where one set of certificates comes from.
type certSettings struct {
	files certs.Files
	auto  bool
	auth  string // none, optional, require; "" until complete
}

// given reports whether there is a certificate to show.
func (c *certSettings) given() bool { return c.auto || c.files.Cert != "" }

const groupTLS = "TLS"

// tlsOptions are rows of options.
var tlsOptions = []option{
	{"tls-addr", "", "address", groupTLS,
		"where Redis clients connect with TLS, beside --client-addr, which may be empty (default: none)",
		setAddress(func(s *settings) *string { return &s.tls.addr }, true)},
	{"tls-cert-file", "", "file", groupTLS, "certificate for clients, PEM, intermediates behind it",
		setFile(func(s *settings) *string { return &s.tls.client.files.Cert })},
	{"tls-key-file", "", "file", groupTLS, "its private key, PEM",
		setFile(func(s *settings) *string { return &s.tls.client.files.Key })},
	{"tls-ca-file", "", "file", groupTLS, "authorities that clients' certificates must come from, PEM",
		setFile(func(s *settings) *string { return &s.tls.client.files.CA })},
	{"tls-crl-file", "", "file", groupTLS, "revocation lists of these authorities, PEM or DER",
		setFile(func(s *settings) *string { return &s.tls.client.files.CRL })},
	{"tls-client-auth", "", "none|optional|require", groupTLS,
		"whether clients need a certificate (default: require with --tls-ca-file, else none)",
		setClientAuth},
	{"auto-tls", "false", "true|false", groupTLS,
		"make, keep and renew a certificate for clients in the data directory",
		setYes(func(s *settings) *bool { return &s.tls.client.auto })},
	{"http-tls", "false", "true|false", groupTLS, "serve --http-addr with the certificates for clients, too",
		setYes(func(s *settings) *bool { return &s.tls.http })},
	{"tls-min-version", "1.2", "1.2|1.3", groupTLS, "oldest version of TLS, on every port", setMinVersion},
	{"tls-cipher-suites", "", "name,...", groupTLS,
		"suites allowed with TLS 1.2, on every port (default: the library's choice)", setSuites},
	{"peer-tls-cert-file", "", "file", groupTLS,
		"certificate for other members, PEM; good for servers and clients",
		setFile(func(s *settings) *string { return &s.tls.peer.files.Cert })},
	{"peer-tls-key-file", "", "file", groupTLS, "its private key, PEM",
		setFile(func(s *settings) *string { return &s.tls.peer.files.Key })},
	{"peer-tls-ca-file", "", "file", groupTLS,
		"authorities that members' certificates come from, PEM; best of their own",
		setFile(func(s *settings) *string { return &s.tls.peer.files.CA })},
	{"peer-tls-crl-file", "", "file", groupTLS, "revocation lists of these authorities, PEM or DER",
		setFile(func(s *settings) *string { return &s.tls.peer.files.CRL })},
	{"peer-tls-allowed-name", "", "name,...", groupTLS,
		"names of which a member's certificate must carry one, *.domain for any (default: the members' hosts)",
		setPeerNames},
	{"peer-auto-tls", "false", "true|false", groupTLS,
		"make, keep and renew a certificate for other members, who need the same --peer-secret-file",
		setYes(func(s *settings) *bool { return &s.tls.peer.auto })},
	{"peer-secret-file", "", "file", groupTLS,
		"secret that all members share; made for a new node that is alone (default: in the data directory)",
		setFile(func(s *settings) *string { return &s.tls.peerSecret })},
}

func setFile(field func(*settings) *string) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v
		return nil
	}
}

func setYes(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		*field(s) = v == "true"
		return setChoice(func(*settings) *string { return new(string) }, "true", "false")(s, v)
	}
}

func setClientAuth(s *settings, v string) error {
	if v == "" {
		return nil
	}
	return setChoice(func(s *settings) *string { return &s.tls.client.auth }, authNone, authOptional,
		authRequire)(s, v)
}

// Values of --tls-client-auth.
const (
	authNone     = "none"
	authOptional = "optional"
	authRequire  = "require"
)

var clientAuths = map[string]certs.ClientAuth{
	authNone: certs.AuthNone, authOptional: certs.AuthOptional, authRequire: certs.AuthRequire,
}

// redisClientAuths are these values in Redis's words.
var redisClientAuths = map[string]string{authNone: "no", authOptional: "optional", authRequire: "yes"}

// tlsParameters is what CONFIG GET shows of the client port.
func (n *node) tlsParameters() (p commands.TLSParameters) {
	t := &n.settings.tls
	files := t.client.files
	p = commands.TLSParameters{CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA}
	if p.Protocols = "TLSv1.2 TLSv1.3"; t.minVersion > tls.VersionTLS12 {
		p.Protocols = "TLSv1.3"
	}
	if p.AuthClients = redisClientAuths[t.client.auth]; n.tlsPort != nil {
		if tcp, ok := n.tlsPort.Addr().(*net.TCPAddr); ok {
			p.Port = tcp.Port
		}
	}
	return p
}

func setMinVersion(s *settings, v string) (err error) {
	s.tls.minVersion, err = certs.ParseVersion(v)
	return err
}

func setSuites(s *settings, v string) (err error) {
	if s.tls.suites = nil; v == "" {
		return nil
	}
	s.tls.suites, err = certs.ParseCipherSuites(strings.Split(v, ","))
	return err
}

func setPeerNames(s *settings, v string) error {
	s.tls.peerNames = nil
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if rest := strings.TrimPrefix(part, "*."); strings.Contains(rest, "*") || rest == "" {
			return fmt.Errorf("%q must be a name, an IP address or *.domain", part)
		}
		s.tls.peerNames = append(s.tls.peerNames, part)
	}
	return nil
}

// completeTLS refuses settings that would leave a port less protected than they say.
func (s *settings) completeTLS() error {
	t := &s.tls
	if err := t.client.check("", "--tls-", "--auto-tls"); err != nil {
		return err
	}
	if err := t.peer.check("peer-", "--peer-tls-", "--peer-auto-tls"); err != nil {
		return err
	}
	switch {
	case s.clientAddr == "" && t.addr == "":
		return fmt.Errorf("--client-addr and --tls-addr are both empty: no client could connect")
	case t.addr != "" && !t.client.given():
		return fmt.Errorf("--tls-addr needs --tls-cert-file and --tls-key-file, or --auto-tls")
	case t.http && !t.client.given():
		return fmt.Errorf("--http-tls needs --tls-cert-file and --tls-key-file, or --auto-tls")
	case t.client.given() && t.addr == "" && (!t.http || s.httpAddr == ""):
		return fmt.Errorf("a certificate for clients is of no use without --tls-addr or --http-tls")
	case len(t.suites) > 0 && t.minVersion > tls.VersionTLS12:
		return fmt.Errorf("--tls-cipher-suites is about TLS 1.2, which --tls-min-version excludes")
	}
	return s.completePeerTLS()
}

func (s *settings) completePeerTLS() error {
	t := &s.tls
	switch {
	case !t.peer.given() && len(t.peerNames) > 0:
		return fmt.Errorf("--peer-tls-allowed-name needs --peer-tls-cert-file, --peer-tls-key-file and " +
			"--peer-tls-ca-file")
	case t.peer.auto && len(t.peerNames) > 0:
		return fmt.Errorf("--peer-tls-allowed-name is of no use with --peer-auto-tls: " +
			"who knows the secret is a member")
	case !t.peer.auto && t.peerSecret != "":
		return fmt.Errorf("--peer-secret-file needs --peer-auto-tls")
	case t.peer.auto && t.peerSecret == "" && len(s.initialCluster) > 1:
		return fmt.Errorf("--peer-auto-tls needs --peer-secret-file, the same on each node; make one with " +
			"`redkeep cert secret >FILE`")
	case !t.peer.auto && t.peer.given() && t.peer.files.CA == "":
		return fmt.Errorf("--peer-tls-cert-file needs --peer-tls-ca-file: members must be able to check each other")
	}
	return nil
}

// check refuses half a set. what is "peer-" for the members' one.
func (c *certSettings) check(what, prefix, auto string) error {
	f := c.files
	switch {
	case c.auto && f.Cert+f.Key != "":
		return fmt.Errorf("%s and %scert-file exclude each other", auto, prefix)
	case what != "" && c.auto && f.CA+f.CRL != "":
		return fmt.Errorf("%s makes an authority of its own: %sca-file and %scrl-file exclude it", auto, prefix,
			prefix)
	case (f.Cert == "") != (f.Key == ""):
		return fmt.Errorf("%scert-file and %skey-file need each other", prefix, prefix)
	case !c.given() && f.CA+f.CRL+c.auth != "":
		return fmt.Errorf("%sca-file and what goes with it need %scert-file or %s", prefix, prefix, auto)
	case f.CRL != "" && f.CA == "":
		return fmt.Errorf("%scrl-file needs %sca-file, whose authorities must have signed it", prefix, prefix)
	case (c.auth == authOptional || c.auth == authRequire) && f.CA == "":
		return fmt.Errorf("%sclient-auth %s needs %sca-file", prefix, c.auth, prefix)
	}
	if c.auth == "" && f.CA != "" {
		c.auth = authRequire
	} else if c.auth == "" {
		c.auth = authNone
	}
	return nil
}

// hostOf is the host of an address; "" if it means every interface.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || isUnspecified(host) {
		return ""
	}
	return host
}
