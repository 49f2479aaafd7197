package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/redkeep/redkeep/raftfsm"
)

func newSnapshotSave(c *client) *cobra.Command {
	local := false
	cmd := &cobra.Command{
		Use:   "save <file>",
		Short: "Write a backup of the whole state to a file here",
		Long: `Write a backup of the whole state to a file here, verified as it arrives. It has every write that was
acknowledged before; writes go on meanwhile. The file has its name only when it is whole; until then there is
<file>.part, which one save at a time can write. --command-timeout does not limit the time it takes.`,
		Args: argsBetween(1, 1, "snapshot save expects one argument"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(c.endpoints) != 1 {
				return badArgsf("snapshot must be requested to one selected node, not multiple %v", c.endpoints)
			}
			return c.snapshotSave(cmd.Context(), args[0], local)
		},
	}
	cmd.Flags().BoolVar(&local, "serializable", false,
		"take what the node has, which may be behind; works without a majority")
	return cmd
}

func (c *client) snapshotSave(ctx context.Context, path string, local bool) (err error) {
	part := path + ".part"
	f, err := openPart(part)
	if err != nil {
		return badInput{fmt.Errorf("nothing was saved: %w", err)}
	}
	in, err := c.receive(ctx, c.endpoints[0], local, &pacedFile{File: f})
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(part, path) // the name goes before the lock
	} else {
		err = errors.Join(err, os.Remove(part))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("nothing was saved: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if c.format == formatJSON {
		return c.print(newSnapshotReply(in))
	}
	_, err = fmt.Fprintln(c.out, "Snapshot saved at", path)
	return err
}

// errSaving: two saves that write one file would make it the backup of neither.
var errSaving = errors.New("another save writes this file; wait for it, or name another file")

// openPart makes the file that a save writes to, empty and for this process alone: what a save left behind
// that was killed is written over, what another one writes is not. The lock goes with the process. A file
// that was renamed before its lock could be had is a finished backup, and not the one to write to.
func openPart(part string) (*os.File, error) {
	for {
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = errSaving
			}
			return nil, errors.Join(fmt.Errorf("%s: %w", part, err), f.Close())
		}
		same, err := stillNamed(f, part)
		if err == nil && same {
			if err = f.Truncate(0); err == nil {
				return f, nil
			}
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// stillNamed reports whether an open file has this name.
func stillNamed(f *os.File, name string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// pacedFile syncs as it is written. A node may use the same disk: the whole file at once, at the end, would
// keep its log waiting.
type pacedFile struct {
	*os.File
	unsynced int
}

const savePace = 8 << 20

func (f *pacedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if f.unsynced += n; err == nil && f.unsynced >= savePace {
		f.unsynced = 0
		err = f.Sync()
	}
	return n, err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// receive copies a node's stream to out and verifies it on the way: each block, the footer, and the checksum
// that the node gave.
func (c *client) receive(ctx context.Context, endpoint string, local bool, out io.Writer) (
	in raftfsm.Inspection, err error) {
	s, err := c.openStream(ctx, endpoint, local)
	if err != nil {
		return in, askError{endpoint, err}
	}
	defer s.conn.Close()
	p := c.progress("saving", s.about.num("bytes"))
	defer p.end()
	in, err = raftfsm.InspectSnapshot(p.reader(ctx, io.TeeReader(s, out)))
	switch {
	case s.failed != nil:
		return in, askError{endpoint, s.failed}
	case err != nil:
		return in, err
	case fmt.Sprintf("%x", in.SHA256) != s.about.text("sha256"):
		return in, fmt.Errorf("what arrived from %s has another checksum than what was sent", endpoint)
	}
	return in, nil
}

// byteStream is the reply to SNAPSHOT.STREAM as one run of bytes. The client library would hold all of it
// in memory.
type byteStream struct {
	conn   net.Conn
	in     *bufio.Reader
	about  fields
	pieces int   // still to come
	left   int   // of the piece being read
	failed error // of the connection, or said by the node; not of what the bytes mean
}

// stallTimeout is how long a node may be silent: before it begins, it writes the whole backup to its disk.
const stallTimeout = 5 * time.Minute

func (c *client) openStream(ctx context.Context, endpoint string, local bool) (*byteStream, error) {
	library := c.connect(endpoint) // knows how to connect; what is said is up to us
	defer library.Close()
	opts := library.Options()
	dialing, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := opts.Dialer(dialing, "tcp", endpoint)
	if err != nil {
		return nil, err
	}
	s := &byteStream{conn: conn, in: bufio.NewReaderSize(conn, 1<<20)}
	if opts.Password != "" {
		words := []string{"AUTH", opts.Username, opts.Password}
		if opts.Username == "" {
			words = []string{"AUTH", opts.Password}
		}
		if err := s.send(words...); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if _, err := s.value(); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	words := []string{"SNAPSHOT.STREAM"}
	if local {
		words = append(words, "SERIALIZABLE")
	}
	if err := errors.Join(s.send(words...), s.begin()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func (s *byteStream) send(words ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	_, err := io.WriteString(s.conn, b.String())
	return err
}

// saidError is an error reply.
type saidError string

func (e saidError) Error() string { return string(e) }
func (saidError) RedisError()     {}

// line reads the first line of a value.
func (s *byteStream) line() (kind byte, rest string, err error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, "", err
	}
	text, err := s.in.ReadString('\n')
	if err != nil {
		return 0, "", err
	}
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return 0, "", unexpected("stream")
	}
	if text[0] == '-' {
		return 0, "", saidError(text[1:])
	}
	return text[0], text[1:], nil
}

// value reads a simple string, a number or a short string.
func (s *byteStream) value() (any, error) {
	kind, rest, err := s.line()
	if err != nil || kind == '+' {
		return rest, err
	}
	n, err := strconv.Atoi(rest)
	switch {
	case err == nil && kind == ':':
		return int64(n), nil
	case err != nil || kind != '$' || n < 0 || n > 1<<20:
		return nil, unexpected("stream")
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(s.in, b)
	return string(b[:n]), err
}

// begin reads what stands before the bytes.
func (s *byteStream) begin() error {
	kind, count, err := s.line()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(count)
	if err != nil || kind != '*' || n < 1 {
		return unexpected("stream")
	}
	s.pieces = n - 1
	kind, count, err = s.line()
	if err != nil {
		return err
	}
	n, err = strconv.Atoi(count)
	if err != nil || kind != '*' || n < 0 || n > 100 {
		return unexpected("stream")
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = s.value(); err != nil {
			return err
		}
	}
	s.about, err = fieldsOf(list)
	return err
}

// Read implements io.Reader.
func (s *byteStream) Read(b []byte) (int, error) {
	if s.left == 0 {
		if s.pieces == 0 {
			return 0, io.EOF
		}
		if err := s.nextPiece(); err != nil {
			s.failed = err
			return 0, err
		}
	}
	n, err := s.in.Read(b[:min(len(b), s.left)])
	if s.left -= n; err == nil && s.left == 0 {
		_, err = s.in.Discard(2)
	}
	if err != nil {
		s.failed = err
	}
	return n, err
}

func (s *byteStream) nextPiece() error {
	kind, size, err := s.line()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(size)
	if err != nil || kind != '$' || n < 1 {
		return unexpected("piece")
	}
	s.pieces, s.left = s.pieces-1, n
	return nil
}
