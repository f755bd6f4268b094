package tlsscan

import (
	"bytes"
	"encoding/binary"
)

// postgres sends the SSLRequest of the PostgreSQL protocol; the answer is one byte.
func (t *talk) postgres() error {
	if err := t.begin("SSLRequest", "\x00\x00\x00\x08\x04\xd2\x16\x2f"); err != nil {
		return err
	}
	answer, err := t.byte()
	switch {
	case err != nil:
		return err
	case answer == 'S':
		return nil
	case answer == 'N':
		return t.failed(dialogueNotOffered)
	}
	return t.failed(dialogueProtocolError)
}

const mysqlSSL = 0x0800

// mysql reads the greeting (protocol version 10), looks for CLIENT_SSL and answers with
// the short form of the handshake response. The server says nothing more before TLS.
func (t *talk) mysql() error {
	if err := t.begin("greeting", ""); err != nil {
		return err
	}
	header, err := t.bytes(4)
	if err != nil {
		return err
	}
	greeting, err := t.bytes(int(header[0]) | int(header[1])<<8 | int(header[2])<<16)
	switch {
	case err != nil:
		return err
	case len(greeting) > 0 && greeting[0] == 0xff: // an error packet: this host may not connect
		return t.failed(dialogueRefused)
	case len(greeting) == 0 || greeting[0] != 10:
		return t.failed(dialogueProtocolError)
	}
	// After the version text and its NUL: thread id 4, challenge 8, filler 1, capabilities 2.
	_, rest, ok := bytes.Cut(greeting[1:], []byte{0})
	if !ok || len(rest) < 15 {
		return t.failed(dialogueProtocolError)
	}
	if binary.LittleEndian.Uint16(rest[13:])&mysqlSSL == 0 {
		return t.failed(dialogueNotOffered)
	}
	const protocol41, secureConnection, maxPacket, utf8mb4 = 0x0200, 0x8000, 1 << 24, 45
	request := make([]byte, 36)
	request[0], request[3] = 32, header[3]+1
	binary.LittleEndian.PutUint32(request[4:], protocol41|mysqlSSL|secureConnection)
	binary.LittleEndian.PutUint32(request[8:], maxPacket)
	request[12] = utf8mb4
	return t.begin("SSLRequest", string(request))
}

// ldap sends the StartTLS extended request (RFC 4511, 4.14) and reads the result code.
func (t *talk) ldap() error {
	const request = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + "1.3.6.1.4.1.1466.20037"
	if err := t.begin("StartTLS", request); err != nil {
		return err
	}
	message, err := t.sequence()
	if err != nil {
		return err
	}
	idTag, _, message, ok1 := berElement(message)
	responseTag, response, _, ok2 := berElement(message)
	codeTag, code, _, ok3 := berElement(response)
	if !ok1 || !ok2 || !ok3 || idTag != 0x02 || responseTag != 0x78 || codeTag != 0x0a || len(code) != 1 {
		return t.failed(dialogueProtocolError)
	}
	switch code[0] {
	case 0:
		return nil
	case 2: // protocolError: the operation is not known (RFC 4511, 4.14.2)
		return t.failed(dialogueNotOffered)
	}
	return t.failed(dialogueRefused)
}

// sequence reads one BER sequence from the connection. The tag is looked at first, so
// that another protocol is not taken for a very long message.
func (t *talk) sequence() ([]byte, error) {
	head, err := t.bytes(2)
	if err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, t.failed(dialogueProtocolError)
	}
	length := int(head[1])
	if length >= 0x80 {
		extra, err := t.bytes(length & 0x7f)
		if err != nil {
			return nil, err
		}
		n, ok := berLength(extra)
		if !ok {
			return nil, t.failed(dialogueProtocolError)
		}
		length = n
	}
	return t.bytes(length)
}

// berElement splits the first element off b. Some directories write lengths longer than
// DER would allow, so the parsers of the standard library do not fit.
func berElement(b []byte) (tag byte, content, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag, length, b := b[0], int(b[1]), b[2:]
	if length >= 0x80 {
		n := length & 0x7f
		if n > len(b) {
			return 0, nil, nil, false
		}
		if length, ok = berLength(b[:n]); !ok {
			return 0, nil, nil, false
		}
		b = b[n:]
	}
	if length > len(b) {
		return 0, nil, nil, false
	}
	return tag, b[:length], b[length:], true
}

// berLength reads a length of one to four bytes; the indefinite form is not used by LDAP.
func berLength(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 4 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n, n <= maxBlock
}

// rdp sends an X.224 connection request that asks for TLS or CredSSP over TLS, and reads
// the protocol that the server selected (MS-RDPBCGR, 2.2.1.1 and 2.2.1.2).
func (t *talk) rdp() error {
	const request = "\x03\x00\x00\x13" + "\x0e\xe0\x00\x00\x00\x00\x00" + "\x01\x00\x08\x00\x03\x00\x00\x00"
	if err := t.begin("connection request", request); err != nil {
		return err
	}
	header, err := t.bytes(4)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(header[2:]))
	if header[0] != 3 || size < 11 {
		return t.failed(dialogueProtocolError)
	}
	confirm, err := t.bytes(size - 4)
	switch {
	case err != nil:
		return err
	case confirm[1]&0xf0 != 0xd0:
		return t.failed(dialogueProtocolError)
	case len(confirm) < 15:
		return t.failed(dialogueNotOffered) // an old server confirms without any negotiation
	}
	negotiation := confirm[7:]
	switch {
	case negotiation[0] == 3:
		return t.failed(dialogueRefused)
	case negotiation[0] != 2:
		return t.failed(dialogueProtocolError)
	case binary.LittleEndian.Uint32(negotiation[4:]) == 0:
		return t.failed(dialogueNotOffered)
	}
	return nil
}
