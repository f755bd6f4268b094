package mailcatcher

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
)

// maxDepth bounds multiparts inside multiparts.
const maxDepth = 8

// Message is one caught mail. It is not changed after it was caught.
type Message struct {
	ID         string    `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
	// From and To are the envelope: who the server was told, not what the headers say.
	From    string   `json:"from"`
	To      []string `json:"to"`
	Subject string   `json:"subject"` // decoded
	// Header keeps the fields as they were sent, with canonical names.
	Header      netmail.Header `json:"headers"`
	Text        string         `json:"text"` // the first text/plain part, decoded
	HTML        string         `json:"html"` // the first text/html part, decoded
	Attachments []Attachment   `json:"attachments"`
	// Problem says what could not be parsed; the source is always whole.
	Problem string `json:"problem,omitempty"`
	Raw     []byte `json:"-"`
}

// Attachment is a part that is neither the text nor the HTML.
type Attachment struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	SizeBytes int    `json:"size_bytes"`
}

// parse reads the parts of a mail. A broken one is kept all the same: seeing what is
// wrong with it is what the catcher is for.
func parse(raw []byte) Message {
	m := Message{Raw: raw, Header: netmail.Header{}, Attachments: []Attachment{}}
	read, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		m.Problem = fmt.Sprintf("header: %v", err)
		return m
	}
	m.Header = read.Header
	decoder := mime.WordDecoder{CharsetReader: charset.NewReaderLabel}
	if m.Subject, err = decoder.DecodeHeader(read.Header.Get("Subject")); err != nil {
		m.Subject = read.Header.Get("Subject")
	}
	if err := m.readPart(textproto.MIMEHeader(read.Header), read.Body, 0); err != nil {
		m.Problem = err.Error()
	}
	return m
}

func (m *Message) readPart(header textproto.MIMEHeader, body io.Reader, depth int) error {
	contentType := header.Get("Content-Type")
	if contentType == "" {
		contentType = "text/plain; charset=us-ascii" // RFC 2045 section 5.2
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return m.readMultipart(multipart.NewReader(body, params["boundary"]), depth+1)
	}
	content, err := io.ReadAll(decoded(header.Get("Content-Transfer-Encoding"), body))
	if err != nil {
		return fmt.Errorf("decode part of type %s: %w", mediaType, err)
	}
	disposition, dispositionParams, err := mime.ParseMediaType(header.Get("Content-Disposition"))
	attached := err == nil && disposition == "attachment"
	switch {
	case mediaType == "text/plain" && !attached && m.Text == "":
		m.Text, err = inUTF8(content, params["charset"])
		return err
	case mediaType == "text/html" && !attached && m.HTML == "":
		m.HTML, err = inUTF8(content, params["charset"])
		return err
	default:
		name := dispositionParams["filename"]
		if name == "" {
			name = params["name"]
		}
		m.Attachments = append(m.Attachments, Attachment{Name: name, MediaType: mediaType, SizeBytes: len(content)})
		return nil
	}
}

func (m *Message) readMultipart(r *multipart.Reader, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d multiparts inside each other", maxDepth)
	}
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read part: %w", err)
		}
		if err := m.readPart(part.Header, part, depth); err != nil {
			return err
		}
	}
}

func decoded(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body) // skips line ends itself
	default:
		return body
	}
}

// inUTF8 converts text of a charset and ends its lines with a line feed alone.
func inUTF8(content []byte, label string) (string, error) {
	if label == "" {
		label = "utf-8"
	}
	r, err := charset.NewReaderLabel(label, bytes.NewReader(content))
	if err != nil {
		return "", fmt.Errorf("charset %q: %w", label, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("convert from %q: %w", label, err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), nil
}
