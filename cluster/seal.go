package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// Checksums for the two kinds of files that had none: meta.json of the data directory, and the meta.json
// that raft writes beside each snapshot. A flipped byte in either would be a wrong name, address or member,
// and nobody would know.
//
// The first has the CRC-32C of all before it as its last field. A file without one was written before there
// was this field, and is accepted if all its fields are known. The second is raft's, so its checksum
// stands in a file beside it; a snapshot that was finished just before a crash may lack it.

const sealField = ",\n  \"checksum\": \""

// sealMeta adds the checksum to a JSON object that ends in "\n}\n".
func sealMeta(raw []byte) []byte {
	body := bytes.TrimSuffix(raw, []byte("\n}\n"))
	return fmt.Appendf(bytes.Clone(body), "%s%08x\"\n}\n", sealField, crc32.Checksum(body, castagnoli))
}

// sealHolds reports whether a sealed file is as it was written.
func sealHolds(raw []byte) bool {
	at := bytes.LastIndex(raw, []byte(sealField))
	if at < 0 {
		return false
	}
	return bytes.Equal(raw, sealMeta(append(bytes.Clone(raw[:at]), "\n}\n"...)))
}

var errSeal = errors.New("it does not match its checksum")

const (
	raftMetaFile = "meta.json"
	raftSumFile  = "meta.sum"
)

// sealSnapshot writes the checksum of the description in a snapshot's folder, in one step: half of one would
// be taken for damage.
func sealSnapshot(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, raftMetaFile))
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, raftSumFile+".tmp")
	if err := writeSynced(tmp, snapshotSum(raw)); err != nil {
		return err
	}
	if err := rename(tmp, filepath.Join(dir, raftSumFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

func snapshotSum(raw []byte) []byte {
	return fmt.Appendf(nil, "%08x\n", crc32.Checksum(raw, castagnoli))
}

// checkSnapshotSeal verifies the description in a snapshot's folder; sealed is false if there is no
// checksum.
func checkSnapshotSeal(dir string) (sealed bool, err error) {
	path := filepath.Join(dir, raftMetaFile)
	sum, err := os.ReadFile(filepath.Join(dir, raftSumFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err == nil && !bytes.Equal(sum, snapshotSum(raw)) {
		err = errSeal
	}
	if err != nil {
		return true, fmt.Errorf("%w snapshot file %s offset 0: %w", ErrCorrupt, path, err)
	}
	return true, nil
}
