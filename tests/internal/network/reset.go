package network

import "encoding/binary"

// Fields of IPv4 and TCP headers, as offsets from the start of each (RFC 791, RFC 9293).
const (
	ipTotalLength = 2
	ipProtocol    = 9
	ipChecksum    = 10
	ipAddresses   = 12
	tcpOffset     = 12
	tcpFlags      = 13
	tcpChecksum   = 16
	tcpHeader     = 20
	protocolTCP   = 6
	flagRST       = 0x04
	flagACK       = 0x10
)

// resetOf turns a TCP packet into one that breaks its connection: same addresses, ports and sequence number,
// so that the receiver accepts it, RST instead of what it carried. It returns nil for other packets.
func resetOf(packet []byte) []byte {
	header := int(packet[0]&15) * 4
	if packet[ipProtocol] != protocolTCP || len(packet) < header+tcpHeader {
		return nil
	}
	out := append([]byte(nil), packet[:header+tcpHeader]...)
	binary.BigEndian.PutUint16(out[ipTotalLength:], uint16(len(out)))
	binary.BigEndian.PutUint16(out[ipChecksum:], 0)
	binary.BigEndian.PutUint16(out[ipChecksum:], checksum(0, out[:header]))
	tcp := out[header:]
	tcp[tcpOffset] = tcpHeader / 4 << 4
	tcp[tcpFlags] = flagRST | flagACK
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], 0)
	pseudo := sum(protocolTCP+tcpHeader, out[ipAddresses:ipAddresses+8])
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], checksum(pseudo, tcp))
	return out
}

// sum adds 16-bit words, as Internet checksums do (RFC 1071). REQUIRES: an even number of bytes.
func sum(start uint32, b []byte) uint32 {
	for i := 0; i < len(b); i += 2 {
		start += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return start
}

func checksum(start uint32, b []byte) uint16 {
	s := sum(start, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
