package commands

import (
	"fmt"
	"strings"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/resp"
)

const backupFlags = FlagAdmin | FlagNoScript | FlagNoMulti | FlagStale

var snapshotRows = []Command{
	{Name: "snapshot.save", Arity: -1, Kind: KindAdmin, Flags: backupFlags, Group: "cluster", Since: "0.1.0",
		Categories: CatCluster, Complexity: "O(N) where N is the size of the state",
		Summary: "Writes a backup into this node's own data directory.",
		Args:    args(argString("name").opt(), argToken("SERIALIZABLE").opt()), block: snapshotSave,
		also: useAll(acl.Read), audited: true},
	{Name: "snapshot.stream", Arity: -1, Kind: KindAdmin, Flags: backupFlags, Group: "cluster", Since: "0.1.0",
		Categories: CatCluster, Complexity: "O(N) where N is the size of the state",
		Summary: "Sends a backup: what it is, then its bytes in pieces.",
		Args:    args(argToken("SERIALIZABLE").opt()), block: snapshotStream,
		also: useAll(acl.Read), audited: true},
}

// snapshotSave writes backups/<name>. The name cannot lead out of that folder.
func snapshotSave(c *call, s *session, wait waiting) (resp.Value, error) {
	name, local, err := backupArgs(c, 1)
	if err != nil {
		return resp.Value{}, err
	}
	b, err := c.d.backUp(backupRequest{name: name, keep: true, local: local || s.local}, wait)
	if err != nil || b == nil {
		return resp.None(), err
	}
	return b.about(resp.Bulk("name"), resp.Bulk(b.name)), nil
}

// snapshotStream replies an array: first a map about the backup, then its bytes, streamPiece in each element
// and what is left in the last. It is made from a file, while it is written to the client: so a slow client
// holds up neither compaction nor memory. An element that is an error ends what can be used of it.
func snapshotStream(c *call, s *session, wait waiting) (resp.Value, error) {
	name, local, err := backupArgs(c, 0)
	if err != nil {
		return resp.Value{}, err
	}
	b, err := c.d.backUp(backupRequest{name: name, local: local || s.local}, wait)
	if err != nil || b == nil {
		return resp.None(), err
	}
	s.streaming = b.file
	pieces := int((b.bytes + streamPiece - 1) / streamPiece)
	about := b.about(resp.Bulk("piece_bytes"), resp.Int(streamPiece))
	room := make([]byte, streamPiece)
	return resp.ArrayBy(1+pieces, func(i int) resp.Value {
		if i == 0 {
			return about
		}
		if c.d.leaving.Load() {
			return refused(errClosing)
		}
		at := int64(i-1) * streamPiece
		piece := room[:min(streamPiece, b.bytes-at)]
		if _, err := b.file.ReadAt(piece, at); err != nil {
			return refused(errBackup(err))
		}
		return resp.Bulk(alias(piece)) // written, or copied, before the next is made
	}), nil
}

// streamPiece is larger than what resp gathers, so that a piece goes to the socket from where it is.
const streamPiece = 512 << 10

func backupArgs(c *call, names int) (name string, local bool, err error) {
	for _, word := range c.args[1:] {
		switch {
		case strings.EqualFold(alias(word), "SERIALIZABLE"):
			if local {
				return "", false, errSyntax
			}
			local = true
		case names == 0 || name != "":
			return "", false, errSyntax
		case !validBackupName(string(word)):
			return "", false, errBackupName
		default:
			name = string(word)
		}
	}
	return name, local, nil
}

const maxBackupName = 128

// validBackupName wants a plain file name, which is not hidden and not one of an unfinished backup.
func validBackupName(name string) bool {
	if name == "" || len(name) > maxBackupName || name[0] == '.' || strings.HasSuffix(name, unfinished) {
		return false
	}
	for i := range len(name) {
		if b := name[i] | 0x20; b >= 'a' && b <= 'z' {
			continue
		}
		if strings.IndexByte("0123456789._-", name[i]) < 0 {
			return false
		}
	}
	return true
}

// about tells what a backup is, after a pair of its own.
func (b *backup) about(name, value resp.Value) resp.Value {
	return resp.Map(
		name, value,
		resp.Bulk("bytes"), resp.Int(b.bytes),
		resp.Bulk("revision"), resp.Int(int64(b.header.Revision)),
		resp.Bulk("keys"), resp.Int(b.header.Keys),
		resp.Bulk("sha256"), resp.Bulk(fmt.Sprintf("%x", b.sum)),
	)
}

// endStream closes the file that a reply was made from.
func (s *session) endStream() {
	if s.streaming != nil {
		_ = s.streaming.Close() // only read, and unlinked
		s.streaming = nil
	}
}
