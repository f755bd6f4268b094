package changes

import (
	"context"
	"encoding/hex"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

type apiHold struct {
	ID         uuid.UUID  `json:"id"`
	Kind       string     `json:"kind" doc:"manual, freeze, lockdown, incident or vendor."`
	Source     *uuid.UUID `json:"source"`
	Reason     string     `json:"reason"`
	CreatedAt  time.Time  `json:"created_at"`
	ReleasedAt *time.Time `json:"released_at"`
}

func newAPIHolds(list []Hold) []apiHold {
	out := []apiHold{}
	for _, h := range list {
		out = append(out, apiHold{ID: h.ID, Kind: h.Kind, Source: orNil(h.SourceID), Reason: h.Reason, CreatedAt: h.CreatedAt.UTC(), ReleasedAt: utc(h.ReleasedAt)})
	}
	return out
}

type apiStep struct {
	ID           uuid.UUID  `json:"id"`
	Position     int32      `json:"position"`
	Title        string     `json:"title"`
	Description  string     `json:"description"`
	Owner        string     `json:"owner"`
	Minutes      int32      `json:"minutes"`
	Verification string     `json:"verification"`
	RollbackNote string     `json:"rollback_note"`
	Destructive  bool       `json:"destructive"`
	State        string     `json:"state"`
	Note         string     `json:"note"`
	DoneAt       *time.Time `json:"done_at"`
	DoneBy       *uuid.UUID `json:"done_by"`
}

func newAPISteps(list []Step) []apiStep {
	out := []apiStep{}
	for _, s := range list {
		out = append(out, apiStep{
			ID: s.ID, Position: s.Position, Title: s.Title, Description: s.Description, Owner: s.Owner, Minutes: s.Minutes, Verification: s.Verification,
			RollbackNote: s.RollbackNote, Destructive: s.Destructive, State: s.State, Note: s.Note, DoneAt: utc(s.DoneAt), DoneBy: orNil(s.DoneBy),
		})
	}
	return out
}

type apiComment struct {
	ID        uuid.UUID  `json:"id"`
	Author    *uuid.UUID `json:"author"`
	Name      string     `json:"author_name"`
	Body      string     `json:"body"`
	CreatedAt time.Time  `json:"created_at"`
	DeletedAt *time.Time `json:"deleted_at"`
}

func newAPIComments(list []Comment) []apiComment {
	out := []apiComment{}
	for _, c := range list {
		out = append(out, apiComment{ID: c.ID, Author: orNil(c.AuthorID), Name: c.AuthorName, Body: c.Body, CreatedAt: c.CreatedAt.UTC(), DeletedAt: utc(c.DeletedAt)})
	}
	return out
}

type apiFile struct {
	ID          uuid.UUID `json:"id"`
	Name        string    `json:"name"`
	ContentType string    `json:"content_type"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	By          string    `json:"uploaded_by"`
	CreatedAt   time.Time `json:"created_at"`
}

func newAPIFile(f Attachment) apiFile {
	return apiFile{ID: f.ID, Name: f.Name, ContentType: f.ContentType, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256), By: f.UploaderName, CreatedAt: f.CreatedAt.UTC()}
}

type apiLink struct {
	ID        uuid.UUID  `json:"id"`
	Kind      string     `json:"kind"`
	Target    *uuid.UUID `json:"target"`
	URL       string     `json:"url,omitempty"`
	Title     string     `json:"title"`
	CreatedAt time.Time  `json:"created_at"`
}

func newAPILink(l Link) apiLink {
	return apiLink{ID: l.ID, Kind: l.Kind, Target: orNil(l.TargetID), URL: l.URL, Title: l.Title, CreatedAt: l.CreatedAt.UTC()}
}

type apiEvidence struct {
	ID         uuid.UUID         `json:"id"`
	Kind       string            `json:"kind"`
	Summary    string            `json:"summary"`
	URL        string            `json:"url,omitempty"`
	Attachment *uuid.UUID        `json:"attachment_id"`
	Facts      map[string]string `json:"facts"`
	By         string            `json:"by"`
	CreatedAt  time.Time         `json:"created_at"`
}

func newAPIEvidence(e Evidence) apiEvidence {
	return apiEvidence{
		ID: e.ID, Kind: e.Kind, Summary: e.Summary, URL: e.URL, Attachment: orNil(e.AttachmentID), Facts: filled(e.Facts), By: e.AuthorName, CreatedAt: e.CreatedAt.UTC(),
	}
}

type apiReview struct {
	Why         string     `json:"why"`
	DueAt       time.Time  `json:"due_at"`
	Summary     string     `json:"summary"`
	WentWell    string     `json:"went_well"`
	WentBadly   string     `json:"went_badly"`
	FollowUp    string     `json:"follow_up"`
	CompletedAt *time.Time `json:"completed_at"`
	CompletedBy string     `json:"completed_by"`
}

func newAPIReview(r *Review) *apiReview {
	if r == nil {
		return nil
	}
	return &apiReview{
		Why: r.Why, DueAt: r.DueAt.UTC(), Summary: r.Summary, WentWell: r.WentWell, WentBadly: r.WentBadly, FollowUp: r.FollowUp,
		CompletedAt: utc(r.CompletedAt), CompletedBy: r.CompleterName,
	}
}

// partOut is a list that is never paged, because a change holds few of its kind.
type partOut[T any] struct{ Body api.List[T] }

type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// PartIn is a part of a change in the path.
type PartIn struct {
	RefIn
	Part string `path:"part"`
}

func (in PartIn) id(what string) (uuid.UUID, error) {
	id, err := uuid.Parse(in.Part)
	if err != nil || len(in.Part) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

// listPart reads all rows of a kind that belong to a change.
func listPart[R, T any](ctx context.Context, s *Service, ref string, rows db.Statement[R], convert func(R) T) (*partOut[T], error) {
	out := &partOut[T]{Body: api.List[T]{Items: []T{}}}
	err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		list, err := rows.All(ctx, tx, db.Args{"id": c.ID})
		for _, r := range list {
			out.Body.Items = append(out.Body.Items, convert(r))
		}
		return err
	})
	return out, err
}

type stepsIn struct {
	RefIn
	IfMatch string `header:"If-Match"`
	Body    struct {
		Steps   []StepBody `json:"steps"`
		Version *int64     `json:"version,omitempty"`
	}
}

// StepBody is a step in a request.
type StepBody struct {
	ID           *uuid.UUID `json:"id,omitempty" doc:"Keeps a step that exists already."`
	Title        string     `json:"title"`
	Description  string     `json:"description,omitempty"`
	Owner        string     `json:"owner,omitempty"`
	Minutes      int        `json:"minutes,omitempty"`
	Verification string     `json:"verification,omitempty"`
	RollbackNote string     `json:"rollback_note,omitempty"`
	Destructive  bool       `json:"destructive,omitempty"`
}

func (b StepBody) step() NewStep {
	n := NewStep{
		Title: b.Title, Description: b.Description, Owner: b.Owner, Minutes: b.Minutes, Verification: b.Verification, RollbackNote: b.RollbackNote, Destructive: b.Destructive,
	}
	put(&n.ID, b.ID)
	return n
}

// partOperations adds steps, comments, files, links, evidence, holds, watching and the review.
func (s *Service) partOperations(m *api.Module) {
	op := func(method, path, id, summary string, perm access.Permission, status int) api.Op {
		return api.Op{Method: method, Path: "/changes/{id}/" + path, Permission: perm, ID: id, Summary: summary, Tag: tagChanges, Status: status}
	}
	get := func(path, id, summary string) api.Op { return op(http.MethodGet, path, id, summary, CanRead, 0) }
	s.stepOperations(m, op)
	api.Register(m, get("comments", "list-change-comments", "List comments"), func(ctx context.Context, in *RefIn) (*partOut[apiComment], error) {
		return listPart(ctx, s, in.ID, commentsOf, func(c Comment) apiComment { return newAPIComments([]Comment{c})[0] })
	})
	api.Register(m, op(http.MethodPost, "comments", "add-change-comment", "Comment; @name mentions a person", CanComment, http.StatusCreated),
		func(ctx context.Context, in *struct {
			RefIn
			Body struct {
				Body string `json:"body"`
			}
		},
		) (*created[apiComment], error) {
			c, err := s.AddComment(ctx, api.Actor(ctx), in.ID, in.Body.Body)
			if err != nil {
				return nil, err
			}
			return &created[apiComment]{Location: location(ctx, in.ID, "comments", c.ID), Body: newAPIComments([]Comment{c})[0]}, nil
		})
	api.Register(m, op(http.MethodDelete, "comments/{part}", "delete-change-comment", "Take a comment back", CanComment, http.StatusNoContent),
		func(ctx context.Context, in *PartIn) (*struct{}, error) {
			id, err := in.id("comment")
			if err != nil {
				return nil, err
			}
			return nil, s.DeleteComment(ctx, api.Actor(ctx), in.ID, id)
		})
	s.fileOperations(m, op)
	api.Register(m, get("links", "list-change-links", "List links"), func(ctx context.Context, in *RefIn) (*partOut[apiLink], error) {
		return listPart(ctx, s, in.ID, linksOf, newAPILink)
	})
	api.Register(m, op(http.MethodPost, "links", "add-change-link", "Link to a certificate, host, change, incident or address", CanUpdate, http.StatusCreated),
		func(ctx context.Context, in *struct {
			RefIn
			Body struct {
				Kind   string `json:"kind" doc:"url, certificate, host, change or incident."`
				Target string `json:"target" doc:"An address, an id, or the key of a change."`
				Title  string `json:"title,omitempty"`
			}
		},
		) (*created[apiLink], error) {
			l, err := s.AddLink(ctx, api.Actor(ctx), in.ID, NewLink{Kind: in.Body.Kind, Target: in.Body.Target, Title: in.Body.Title})
			if err != nil {
				return nil, err
			}
			return &created[apiLink]{Location: location(ctx, in.ID, "links", l.ID), Body: newAPILink(l)}, nil
		})
	api.Register(m, op(http.MethodDelete, "links/{part}", "delete-change-link", "Remove a link", CanUpdate, http.StatusNoContent),
		func(ctx context.Context, in *PartIn) (*struct{}, error) {
			id, err := in.id("link")
			if err != nil {
				return nil, err
			}
			return nil, s.RemoveLink(ctx, api.Actor(ctx), in.ID, id)
		})
	s.proofOperations(m, op)
}

func location(ctx context.Context, ref, part string, id uuid.UUID) string {
	return api.Request(ctx).Path("/api/v1/changes/" + ref + "/" + part + "/" + id.String())
}

type opMaker func(method, path, id, summary string, perm access.Permission, status int) api.Op

func (s *Service) stepOperations(m *api.Module, op opMaker) {
	api.Register(m, op(http.MethodGet, "steps", "list-change-steps", "List the order of work", CanRead, 0), func(ctx context.Context, in *RefIn) (*partOut[apiStep], error) {
		return listPart(ctx, s, in.ID, stepsOf, func(st Step) apiStep { return newAPISteps([]Step{st})[0] })
	})
	api.Register(m, op(http.MethodPut, "steps", "set-change-steps", "Replace the order of work", CanUpdate, 0), func(ctx context.Context, in *stepsIn) (*partOut[apiStep], error) {
		list := make([]NewStep, len(in.Body.Steps))
		for i, b := range in.Body.Steps {
			list[i] = b.step()
		}
		steps, err := s.SetSteps(ctx, api.Actor(ctx), in.ID, list, in.IfMatch, in.Body.Version)
		return &partOut[apiStep]{Body: api.List[apiStep]{Items: newAPISteps(steps)}}, err
	})
	api.Register(m, op(http.MethodPost, "steps/{part}/check", "check-change-step", "Check a step off while the change runs", CanComplete, 0),
		func(ctx context.Context, in *struct {
			PartIn
			Body struct {
				State string `json:"state" enum:"todo,done,skipped"`
				Note  string `json:"note,omitempty"`
			}
		},
		) (*struct{ Body apiStep }, error) {
			id, err := in.id("step")
			if err != nil {
				return nil, err
			}
			st, err := s.CheckStep(ctx, api.Actor(ctx), in.ID, id, in.Body.State, in.Body.Note)
			if err != nil {
				return nil, err
			}
			return &struct{ Body apiStep }{newAPISteps([]Step{st})[0]}, nil
		})
}

func (s *Service) fileOperations(m *api.Module, op opMaker) {
	api.Register(m, op(http.MethodGet, "attachments", "list-change-attachments", "List files", CanRead, 0), func(ctx context.Context, in *RefIn) (*partOut[apiFile], error) {
		return listPart(ctx, s, in.ID, attachmentsOf, newAPIFile)
	})
	api.Register(m, op(http.MethodPost, "attachments", "add-change-attachment", "Attach a file of at most 25 MiB, as the part file", CanComment, http.StatusCreated),
		func(ctx context.Context, in *struct {
			RefIn
			RawBody multipart.Form
		},
		) (*created[apiFile], error) {
			parts := in.RawBody.File["file"]
			if len(parts) != 1 {
				return nil, fault.InvalidField("file", "required", "Send one file, as the part named file.")
			}
			src, err := parts[0].Open()
			if err != nil {
				return nil, fault.InvalidField("file", "malformed", "The file could not be read.")
			}
			defer src.Close()
			f, err := s.Attach(ctx, api.Actor(ctx), in.ID, parts[0].Filename, src)
			if err != nil {
				return nil, err
			}
			return &created[apiFile]{Location: location(ctx, in.ID, "attachments", f.ID), Body: newAPIFile(f)}, nil
		})
	api.Register(m, op(http.MethodGet, "attachments/{part}", "get-change-attachment", "Download a file", CanRead, 0),
		func(ctx context.Context, in *PartIn) (*huma.StreamResponse, error) {
			id, err := in.id("file")
			if err != nil {
				return nil, err
			}
			r := api.Request(ctx)
			f, err := s.Attachment(ctx, r.Actor, in.ID, id)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(hctx huma.Context) {
				hctx.SetHeader("Content-Type", f.ContentType)
				hctx.SetHeader("Content-Disposition", disposition(f, false))
				if err := s.WriteAttachment(ctx, r.Actor, f.ID, hctx.BodyWriter()); err != nil {
					r.LogFailure(err)
				}
			}}, nil
		})
	api.Register(m, op(http.MethodDelete, "attachments/{part}", "delete-change-attachment", "Take a file away", CanUpdate, http.StatusNoContent),
		func(ctx context.Context, in *PartIn) (*struct{}, error) {
			id, err := in.id("file")
			if err != nil {
				return nil, err
			}
			_, err = s.RemoveAttachment(ctx, api.Actor(ctx), in.ID, id)
			return nil, err
		})
}

// proofOperations adds evidence, holds, watching and the review.
func (s *Service) proofOperations(m *api.Module, op opMaker) {
	api.Register(m, op(http.MethodGet, "evidence", "list-change-evidence", "List evidence", CanRead, 0), func(ctx context.Context, in *RefIn) (*partOut[apiEvidence], error) {
		return listPart(ctx, s, in.ID, evidenceOf, newAPIEvidence)
	})
	api.Register(m, op(http.MethodPost, "evidence", "add-change-evidence", "Add evidence", CanComplete, http.StatusCreated),
		func(ctx context.Context, in *struct {
			RefIn
			Body struct {
				Kind         string            `json:"kind" enum:"validation,backout"`
				Summary      string            `json:"summary"`
				URL          string            `json:"url,omitempty"`
				AttachmentID string            `json:"attachment_id,omitempty"`
				Facts        map[string]string `json:"facts,omitempty"`
			}
		},
		) (*created[apiEvidence], error) {
			e, err := s.AddEvidence(ctx, api.Actor(ctx), in.ID, NewEvidence{
				Kind: in.Body.Kind, Summary: in.Body.Summary, URL: in.Body.URL, Attachment: in.Body.AttachmentID, Facts: in.Body.Facts,
			})
			if err != nil {
				return nil, err
			}
			return &created[apiEvidence]{Location: location(ctx, in.ID, "evidence", e.ID), Body: newAPIEvidence(e)}, nil
		})
	api.Register(m, op(http.MethodGet, "holds", "list-change-holds", "List holds, released ones too", CanRead, 0), func(ctx context.Context, in *RefIn) (*partOut[apiHold], error) {
		return listPart(ctx, s, in.ID, holdsOf, func(h Hold) apiHold { return newAPIHolds([]Hold{h})[0] })
	})
	api.Register(m, op(http.MethodPost, "holds", "hold-change", "Put a change on hold", CanUpdate, http.StatusCreated),
		func(ctx context.Context, in *struct {
			RefIn
			Body struct {
				Reason string `json:"reason"`
			}
		},
		) (*created[apiHold], error) {
			h, err := s.PutOnHold(ctx, api.Actor(ctx), in.ID, in.Body.Reason)
			if err != nil {
				return nil, err
			}
			return &created[apiHold]{Location: location(ctx, in.ID, "holds", h.ID), Body: newAPIHolds([]Hold{h})[0]}, nil
		})
	api.Register(m, op(http.MethodDelete, "holds/{part}", "release-change-hold", "Release a hold", CanUpdate, http.StatusNoContent),
		func(ctx context.Context, in *struct {
			PartIn
			Reason string `query:"reason"`
		},
		) (*struct{}, error) {
			id, err := in.id("hold")
			if err != nil {
				return nil, err
			}
			return nil, s.Release(ctx, api.Actor(ctx), in.ID, id, in.Reason)
		})
	for path, on := range map[string]bool{"watch": true, "unwatch": false} {
		api.Register(m, op(http.MethodPost, path, path+"-change", upperFirst(path)+" a change", CanRead, http.StatusNoContent),
			func(ctx context.Context, in *RefIn) (*struct{}, error) {
				return nil, s.Watch(ctx, api.Actor(ctx), in.ID, on)
			})
	}
	api.Register(m, op(http.MethodGet, "review", "get-change-review", "Read the post-implementation review", CanRead, 0),
		func(ctx context.Context, in *RefIn) (*struct{ Body *apiReview }, error) {
			var out *apiReview
			err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
				c, err := findChange(ctx, tx, in.ID)
				if err != nil {
					return err
				}
				r, err := reviewOf.One(ctx, tx, db.Args{"id": c.ID})
				out = newAPIReview(&r)
				return err
			})
			return &struct{ Body *apiReview }{out}, err
		})
	api.Register(m, op(http.MethodPut, "review", "complete-change-review", "Write the post-implementation review", CanUpdate, 0),
		func(ctx context.Context, in *struct {
			RefIn
			Body struct {
				Summary   string `json:"summary"`
				WentWell  string `json:"went_well,omitempty"`
				WentBadly string `json:"went_badly,omitempty"`
				FollowUp  string `json:"follow_up,omitempty"`
			}
		},
		) (*changeOut, error) {
			_, err := s.CompleteReview(ctx, api.Actor(ctx), in.ID, NewReview{
				Summary: in.Body.Summary, WentWell: in.Body.WentWell, WentBadly: in.Body.WentBadly, FollowUp: in.Body.FollowUp,
			})
			if err != nil {
				return nil, err
			}
			return s.answer(ctx, in.ID)
		})
}
