package changes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Attachment is a file of a change. SHA256 is 32 bytes. One that was taken away keeps its
// name and digest.
type Attachment struct {
	ID           uuid.UUID     `db:"id"`
	Name         string        `db:"name"`
	ContentType  string        `db:"content_type"` // as its bytes say, not its name
	Size         int64         `db:"size_bytes"`
	SHA256       []byte        `db:"sha256"`
	UploadedBy   uuid.NullUUID `db:"uploaded_by"`
	UploaderName string        `db:"uploader_name"`
	CreatedAt    time.Time     `db:"created_at"`
	RemovedAt    *time.Time    `db:"removed_at"`
}

// Inline reports whether a browser may show the file itself. Everything else is a download:
// what could run is never shown from our address.
func (f Attachment) Inline() bool {
	return slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, f.ContentType)
}

const (
	// MaxAttachment is the largest file, in bytes.
	MaxAttachment = 25 << 20
	maxFiles      = 100
	chunkSize     = 256 << 10
	sniffed       = 512
)

// fileName keeps the last part of a path, without what no file is called.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, ""), `\`, "/"))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`"<>|*?:`, r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, name))
	if name == "" || name == "." || name == "/" {
		return "file"
	}
	if r := []rune(name); len(r) > 200 {
		ext := []rune(path.Ext(name))
		if len(ext) > 20 {
			ext = nil
		}
		name = string(r[:200-len(ext)]) + string(ext)
	}
	return name
}

// Attach keeps a file. Its type is what its first bytes say, and must be one that is
// allowed. Adding a file is no material edit.
func (s *Service) Attach(ctx context.Context, a db.Actor, ref, name string, src io.ReadSeeker) (Attachment, error) {
	var out Attachment
	if err := s.policy.Check(a, CanComment); err != nil {
		return out, err
	}
	out = Attachment{Name: fileName(name), UploadedBy: db.NullID(a.UserID), UploaderName: a.Name}
	if err := out.read(src); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		files, err := attachmentsOf.All(ctx, tx, db.Args{"id": c.ID})
		if err != nil {
			return err
		}
		if len(files) >= maxFiles {
			return fault.InvalidField("file", "too_many", fmt.Sprintf("A change keeps at most %d files.", maxFiles))
		}
		if out.ID, err = newID(); err != nil {
			return err
		}
		out.CreatedAt = tx.Now
		if err := insertAttachment(ctx, tx, c.ID, out); err != nil {
			return err
		}
		if err := writeChunks(ctx, tx, out.ID, src); err != nil {
			return err
		}
		_, err = s.record(ctx, tx, ledger.Entry{Action: EventAttached, Subject: c.subject(), Payload: out.payload(c), Detail: out.detail()})
		return err
	})
	return out, err
}

// read looks at all of a file: its type, its size, its digest. It leaves src at its start.
func (f *Attachment) read(src io.ReadSeeker) error {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read file: %w", err)
	}
	if n == 0 {
		return fault.InvalidField("file", "required", "Choose a file that is not empty.")
	}
	kind, ok := fileType(head[:n], f.Name)
	if !ok {
		return fault.InvalidField("file", "type_not_allowed", "Files of this kind are not kept. Allowed are text, images, PDF, office documents and zip archives.")
	}
	f.ContentType = kind
	sum := sha256.New()
	sum.Write(head[:n])
	rest, err := io.Copy(sum, io.LimitReader(src, MaxAttachment+1))
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	f.Size, f.SHA256 = int64(n)+rest, sum.Sum(nil)
	if f.Size > MaxAttachment {
		return fault.InvalidField("file", "too_large", "The file is larger than 25 MiB.")
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind file: %w", err)
	}
	return nil
}

func writeChunks(ctx context.Context, tx *db.Tx, id uuid.UUID, src io.Reader) error {
	buf := make([]byte, chunkSize)
	for position := 0; ; position++ {
		n, err := io.ReadFull(src, buf)
		if n > 0 {
			if _, err := insertChunk.Run(ctx, tx, db.Args{"id": id, "position": position, "data": buf[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read file: %w", err)
		}
	}
}

func (f Attachment) detail() map[string]any {
	return map[string]any{"file": f.Name, "size": f.Size, "sha256": hex.EncodeToString(f.SHA256)}
}

func (f Attachment) payload(c Change) FilePayload {
	return FilePayload{ChangePayload: c.payload(), AttachmentID: f.ID, Name: f.Name, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256)}
}

// Attachment returns what is known of a file that is still there.
func (s *Service) Attachment(ctx context.Context, a db.Actor, ref string, id uuid.UUID) (Attachment, error) {
	var out Attachment
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		out, err = attachmentOf.One(ctx, tx, db.Args{"change": c.ID, "id": id})
		return err
	})
	return out, err
}

// WriteAttachment writes the content of a file, chunk by chunk, without holding a transaction
// while the reader takes its time.
func (s *Service) WriteAttachment(ctx context.Context, a db.Actor, id uuid.UUID, w io.Writer) error {
	for position := 0; ; position++ {
		var chunk *db.Result[[]byte]
		err := s.db.ReadBatch(ctx, a, func(b *db.Batch) { chunk = chunkOf.Queue(b, db.Args{"id": id, "position": position}) })
		if err != nil {
			return err
		}
		data, ok := chunk.First()
		if !ok {
			return nil
		}
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		if len(data) < chunkSize {
			return nil
		}
	}
}

// RemoveAttachment takes a file away. Once a change was submitted this is a material edit:
// whoever decides may have read it.
func (s *Service) RemoveAttachment(ctx context.Context, a db.Actor, ref string, id uuid.UUID) (Change, error) {
	var out Change
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		f, err := attachmentOf.One(ctx, tx, db.Args{"change": before.ID, "id": id})
		if err != nil {
			return err
		}
		if !before.State.Open() || before.State == lifecycle.InProgress {
			return notEditable(before, []string{"attachments"})
		}
		if err := removeAttachment(ctx, tx, id, db.NullID(a.UserID)); err != nil {
			return err
		}
		c := before
		if before.SubmittedHash != nil {
			c.RemovedAttachments = append(slices.Clone(before.RemovedAttachments), hex.EncodeToString(f.SHA256))
			slices.Sort(c.RemovedAttachments)
		}
		out, err = s.saveEdit(ctx, tx, before, c, ledger.Entry{
			Action: EventDetached, Detail: f.detail(), Changes: []ledger.Change{{Field: "attachment", From: f.Name}},
		})
		return err
	})
	return out, err
}
