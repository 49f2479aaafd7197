package main

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkeep/redkeep/certs"
)

// The verbs below work on a folder like this, and on nothing else; no node is asked.
//
//	ca.pem, ca-key.pem             authority of the certificates that clients and the client ports show
//	peer-ca.pem, peer-ca-key.pem   authority of the certificates that members show each other
//	crl.pem, peer-crl.pem          what they have revoked
//	<node>/                        all that one node needs: server, peer, and copies of the public files above
//	clients/                       one certificate per client
//
// There are two authorities so that no client's certificate can ever pass for a member's. The keys of the
// authorities are needed to make certificates only: keep the folder away from the nodes.

const certLife = 365 * 24 * time.Hour

func newCert(c *client) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make and look at certificates for a cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertCreate(c), newCertNode(c), newCertClient(c), newCertRenew(c), newCertRevoke(c),
		&cobra.Command{
			Use: "show FILE...", Short: "Print the names, dates and fingerprint of certificates",
			Args: argsBetween(1, 1000, "cert show command needs at least one file"),
			RunE: func(_ *cobra.Command, args []string) error { return showCerts(c.out, args) },
		},
		&cobra.Command{
			Use: "secret", Short: "Print a new secret for --peer-secret-file",
			Args: argsBetween(0, 0, "cert secret command takes no argument"),
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprintln(c.out, certs.NewSecret())
				return err
			},
		})
	return cmd
}

func newCertCreate(c *client) *cobra.Command {
	var nodes []string
	var w workshop
	cmd := &cobra.Command{
		Use:   "create --nodes NAME=HOST[+HOST...],... [--dir DIR]",
		Short: "Make two authorities, the certificates of the nodes, and one of an administrator",
		Long: `Make two authorities, the certificates of the nodes, and one of an administrator.

A HOST is a DNS name or an IP address under which clients or other members reach the node. Nothing is
overwritten. Copy each node's folder to its machine; keep ca-key.pem and peer-ca-key.pem elsewhere.

  redkeep cert create --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3+db3.example.com`,
		Args: argsBetween(0, 0, "cert create command takes no argument"),
		RunE: func(*cobra.Command, []string) error {
			list, err := parseCertNodes(nodes)
			if err != nil {
				return err
			}
			return w.create(c.out, list)
		},
	}
	w.addFlags(cmd)
	cmd.Flags().StringSliceVar(&nodes, "nodes", nil, "nodes and their hosts")
	return cmd
}

func newCertNode(c *client) *cobra.Command {
	var w workshop
	cmd := &cobra.Command{
		Use: "node NAME=HOST[+HOST...]... [--dir DIR]", Short: "Make the folders of more nodes",
		Args: argsBetween(1, 1000, "cert node command needs at least one NAME=HOST"),
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := parseCertNodes(args)
			if err != nil {
				return err
			}
			return w.nodes(c.out, list)
		},
	}
	w.addFlags(cmd)
	return cmd
}

func newCertClient(c *client) *cobra.Command {
	var w workshop
	cmd := &cobra.Command{
		Use: "client NAME... [--dir DIR]", Short: "Make certificates for clients; NAME is the common name",
		Args: argsBetween(1, 1000, "cert client command needs at least one name"),
		RunE: func(_ *cobra.Command, args []string) error { return w.clients(c.out, args) },
	}
	w.addFlags(cmd)
	return cmd
}

func newCertRenew(c *client) *cobra.Command {
	var w workshop
	cmd := &cobra.Command{
		Use:   "renew [--dir DIR]",
		Short: "Make new keys and certificates with the same names, and sign the revocation lists again",
		Long: `Make new keys and certificates with the same names, and sign the revocation lists again.

Copy the files over the old ones; running nodes take them within seconds and drop no connection. Revoked
certificates are not renewed. The authorities stay.`,
		Args: argsBetween(0, 0, "cert renew command takes no argument"),
		RunE: func(*cobra.Command, []string) error { return w.renew(c.out) },
	}
	w.addFlags(cmd)
	return cmd
}

func newCertRevoke(c *client) *cobra.Command {
	var w workshop
	cmd := &cobra.Command{
		Use:   "revoke FILE... [--dir DIR]",
		Short: "Put certificates on crl.pem or peer-crl.pem, for --tls-crl-file and --peer-tls-crl-file",
		Long: `Put certificates on crl.pem or peer-crl.pem, for --tls-crl-file and --peer-tls-crl-file.

The lists in the nodes' folders are replaced, too. Copy them to the nodes, which take them within seconds and
cut the connections of who is on them.`,
		Args: argsBetween(1, 1000, "cert revoke command needs at least one file"),
		RunE: func(_ *cobra.Command, args []string) error { return w.revoke(c.out, args) },
	}
	w.addFlags(cmd)
	return cmd
}

// certNode is one node of --nodes.
type certNode struct {
	name  string
	hosts []string
}

func parseCertNodes(list []string) ([]certNode, error) {
	var out []certNode
	seen := map[string]bool{}
	for _, part := range list {
		name, hosts, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || hosts == "" || !isFileName(name) || name == "clients" {
			return nil, badArgsf("%q: must be NAME=HOST or NAME=HOST+HOST", part)
		}
		if seen[name] {
			return nil, badArgsf("%s is there twice", name)
		}
		seen[name] = true
		n := certNode{name: name, hosts: strings.Split(hosts, "+")}
		for _, h := range n.hosts {
			if h == "" || strings.ContainsAny(h, ":/ ") && !isIPv6(h) {
				return nil, badArgsf("%q: %q is no host; ports do not belong here", part, h)
			}
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, badArgsf("cert create command needs --nodes")
	}
	return out, nil
}

// isFileName keeps names of members and users from leaving their folder.
func isFileName(name string) bool {
	return setName(&settings{}, name) == nil && filepath.Base(name) == name && !strings.HasPrefix(name, ".")
}

func showCerts(out io.Writer, files []string) error {
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		list, err := certs.ParsePEM(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range list {
			showCert(out, name, c)
		}
	}
	return nil
}

func showCert(out io.Writer, name string, c *x509.Certificate) {
	state := "valid"
	switch now := time.Now(); {
	case now.After(c.NotAfter):
		state = "EXPIRED"
	case now.Before(c.NotBefore):
		state = "NOT YET VALID"
	}
	var uses []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			uses = append(uses, "server")
		case x509.ExtKeyUsageClientAuth:
			uses = append(uses, "client")
		}
	}
	if c.IsCA {
		uses = append(uses, "authority")
	}
	fmt.Fprintf(out, "%s\n  names        %s\n  for          %s\n  issuer       %s\n", name,
		strings.Join(certs.NamesOf(c), ", "), strings.Join(uses, ", "), c.Issuer)
	fmt.Fprintf(out, "  valid        %s to %s (%s)\n  serial       %x\n  fingerprint  %x\n",
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), state, c.SerialNumber,
		sha256.Sum256(c.Raw))
}
